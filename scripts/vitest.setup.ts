// Property tests draw the same cases everywhere: a red run can be repeated. FC_SEED=n tries others.
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20261124) });

// The embedded model's files beside the app's own: Vite serves and copies what lies in public/.
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const model = dirname(dirname(fileURLToPath(import.meta.resolve('@ediffi/model'))));
const out = join(dirname(fileURLToPath(import.meta.url)), 'public', 'model');
for (const name of ['card.json', 'weights', 'tokenizers']) cpSync(join(model, name), join(out, name), { recursive: true });

export { bootstrap, type BootstrapOptions, type Estimate } from './bootstrap.js';
export { frechetDistance, frechetOf, momentsOf, type Features, type Moments } from './frechet.js';
export { kid } from './kid.js';

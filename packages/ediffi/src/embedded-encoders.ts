/* The embedded model's encoders, a module of their own: pages load it with the first prompt, and nothing else of @ediffi/encoders. */
export { clipImageEncoder, clipTextEncoder, t5Encoder } from '@ediffi/encoders';

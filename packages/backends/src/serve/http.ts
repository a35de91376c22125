/* What a server needs of HTTP. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { failureOf, statusOf } from '../remote/failure.js';
import { HEADER_LENGTH } from '../remote/wire.js';

/** An error with a status of its own. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Answers with an error, unless nobody listens any more. */
export function refuse(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const status = error instanceof Refusal ? error.status : error instanceof SyntaxError || error instanceof URIError ? 400 : statusOf(error);
  if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(failureOf(error)));
}

/** A request's body. Rejects with a Refusal when it is too large. */
export async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) throw new Refusal(413, `the request is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Whether the header is `Bearer` and the token; in constant time, whatever the lengths. */
export function isBearer(header: string | undefined, token: string): boolean {
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}

/** Lets pages of these origins read answers, and answers the browser's question whether they may; true when that was it. */
export function answeredOrigin(request: IncomingMessage, response: ServerResponse, origins: readonly string[]): boolean {
  const { origin } = request.headers;
  if (origin !== undefined && (origins.includes('*') || origins.includes(origin))) {
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin');
    response.setHeader('access-control-expose-headers', HEADER_LENGTH);
  }
  if (request.method !== 'OPTIONS') return false;
  response.writeHead(204, { 'access-control-allow-methods': 'GET, POST', 'access-control-allow-headers': `content-type, authorization, ${HEADER_LENGTH}`, 'access-control-max-age': '600' }).end();
  return true;
}

// A picture as a stream of server-sent events: each step with its preview, then the PNG. A client that leaves stops the work.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { encodePng, loadEdiffi, type Cascade } from 'ediffi';

const dataUrl = (png: Uint8Array): string => `data:image/png;base64,${Buffer.from(png).toString('base64')}`;

function send(response: ServerResponse, event: string, data: object): void {
  response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

async function paint(ediffi: Cascade, query: URLSearchParams, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort(new Error('the client left')));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  try {
    const painting = ediffi.stream(query.get('prompt') ?? '', { seed: Number(query.get('seed') ?? 7), steps: Number(query.get('steps') ?? 25), signal: gone.signal });
    for await (const { index, count, stage, expert, sigma, preview } of painting) send(response, 'step', { index, count, stage, expert, sigma, preview: dataUrl(encodePng(await preview())) });
    const picture = await painting.finish();
    send(response, 'picture', { png: dataUrl(picture.toPng()), metadata: picture.metadata, warnings: picture.warnings });
  } catch (error) {
    if (!gone.signal.aborted) send(response, 'failure', { message: error instanceof Error ? error.message : String(error) });
  }
  response.end();
}

/** Serves GET /paint?prompt=…&seed=…&steps=…; in a page: `new EventSource(url)`. Answers with the server and how to end it. */
export async function main(port = 8080): Promise<{ server: Server; close(): Promise<void> }> {
  const ediffi = await loadEdiffi();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/paint') void paint(ediffi, url.searchParams, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((ready) => server.listen(port, '127.0.0.1', ready));
  return {
    server,
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await ediffi.dispose();
    },
  };
}

// The page's side of worker.ts: one function that paints, several calls may be open at once.
import type { News, Wish } from './worker.js';

let count = 0;

/** A painter in a worker of its own. `onStep` hears of each step while the picture forms. */
export function painter(url: string | URL): { paint(wish: Omit<Wish, 'id'>, onStep?: (step: number, count: number, pixels: ImageData) => void): Promise<ImageData>; end(): void } {
  const worker = new Worker(url, { type: 'module' });
  const open = new Map<number, (news: News) => void>();
  worker.onmessage = ({ data }: MessageEvent<News>) => open.get(data.id)?.(data);
  return {
    paint: (wish, onStep) => new Promise((resolve, reject) => {
      const id = count++;
      open.set(id, (news) => {
        if ('step' in news) return onStep?.(news.step, news.count, news.pixels);
        open.delete(id);
        if ('picture' in news) resolve(news.picture);
        else reject(new Error(news.failure));
      });
      worker.postMessage({ id, ...wish } satisfies Wish);
    }),
    end: () => worker.terminate(),
  };
}

Object.assign(globalThis, { painter });

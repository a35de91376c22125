/* Brush and eraser on the board: pointer, touch and keyboard. */
import type { Board } from './board.js';
import { element } from './dom.js';

/** What the painter asks of the page. */
export interface PainterHost {
  readonly board: Board;
  /** The label to paint with: a layer, 0 to erase, or undefined when nothing is chosen. */
  label(): number | undefined;
  /** The board changed. */
  changed(): void;
  /** Something was painted with nothing chosen. */
  nothing(): void;
}

/** Lets the canvas be painted on; returns what draws it. */
export function painter(host: PainterHost): () => void {
  const canvas = element<HTMLCanvasElement>('canvas');
  const cursor = element('cursor');
  const size = element<HTMLInputElement>('brush-size');
  let painting: number | undefined; // the pointer that paints: a second finger would draw a line from where the first one is
  let last: { readonly x: number; readonly y: number } | undefined;
  let at = { x: host.board.width / 2, y: host.board.height / 2 };

  const draw = (): void => {
    const { width, height, labels, layers } = host.board;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const image = new ImageData(width, height);
    const colors = new Map(layers.map(({ id, color }) => [id, [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16))]));
    labels.forEach((label, i) => {
      const color = colors.get(label);
      if (color) image.data.set([...color, 255], 4 * i);
    });
    canvas.getContext('2d')!.putImageData(image, 0, 0);
  };
  const point = (event: PointerEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * canvas.width, y: ((event.clientY - box.top) / box.height) * canvas.height };
  };
  const showCursor = ({ x, y }: { readonly x: number; readonly y: number }): void => {
    const scale = canvas.clientWidth / canvas.width;
    const diameter = Number(size.value) * scale;
    Object.assign(cursor.style, { display: 'block', width: `${diameter}px`, height: `${diameter}px`, left: `${canvas.offsetLeft + x * scale - diameter / 2}px`, top: `${canvas.offsetTop + y * scale - diameter / 2}px` });
  };
  const stroke = (to: { readonly x: number; readonly y: number }): void => {
    const label = host.label();
    if (label === undefined) return host.nothing();
    const from = last ?? to;
    host.board.stroke(from.x, from.y, to.x, to.y, Number(size.value) / 2, label);
    last = to;
    draw();
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || painting !== undefined) return;
    painting = event.pointerId;
    canvas.setPointerCapture(event.pointerId);
    if (host.label() !== undefined) host.board.mark();
    stroke((at = point(event)));
  });
  canvas.addEventListener('pointermove', (event) => {
    if (painting !== undefined && event.pointerId !== painting) return;
    showCursor((at = point(event)));
    if (last) stroke(at);
  });
  const lift = (): void => {
    if (last) host.changed();
    last = undefined;
  };
  for (const type of ['pointerup', 'pointercancel', 'lostpointercapture'] as const) {
    canvas.addEventListener(type, (event) => {
      if (event.pointerId !== painting) return;
      painting = undefined;
      lift();
    });
  }
  canvas.addEventListener('pointerleave', () => (cursor.style.display = 'none'));
  canvas.addEventListener('blur', () => (cursor.style.display = 'none'));
  canvas.addEventListener('keydown', (event) => {
    const move = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[event.key];
    if (move) at = { x: Math.min(canvas.width, Math.max(0, at.x + move[0]!)), y: Math.min(canvas.height, Math.max(0, at.y + move[1]!)) };
    else if (event.key === ' ') {
      if (host.label() !== undefined) host.board.mark();
      stroke(at);
      lift();
    } else return;
    event.preventDefault();
    showCursor(at);
  });
  return draw;
}

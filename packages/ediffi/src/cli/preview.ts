import { encodePng, pictureOf, resized, tensorOf, type Picture } from '../index.js';
import { UsageError, type Terminal } from './io.js';

/** Ways to show a picture in a terminal; 'none' where there is none. */
export const previewKinds = ['auto', 'none', 'blocks', 'kitty', 'iterm', 'sixel'] as const;
export type PreviewKind = (typeof previewKinds)[number];

/** What this terminal can show, from its environment: no terminal is queried. */
export function detectPreview(terminal: Terminal, env: Readonly<Record<string, string | undefined>>): Exclude<PreviewKind, 'auto'> {
  if (!terminal.isTTY) return 'none';
  const term = env['TERM'] ?? '';
  const program = env['TERM_PROGRAM'] ?? '';
  if (env['KITTY_WINDOW_ID'] !== undefined || /kitty|ghostty/.test(term) || /ghostty|WezTerm/.test(program)) return 'kitty';
  if (program === 'iTerm.app') return 'iterm';
  if (/sixel|mlterm|foot/.test(term)) return 'sixel';
  return /truecolor|24bit/.test(env['COLORTERM'] ?? '') ? 'blocks' : 'none';
}

/** The kind asked for, or the detected one. Throws UsageError for an unknown name. */
export function previewKind(asked: string, terminal: Terminal, env: Readonly<Record<string, string | undefined>>): Exclude<PreviewKind, 'auto'> {
  const kind = previewKinds.find((known) => known === asked);
  if (!kind) throw new UsageError(`--preview: expected one of ${previewKinds.join(', ')}, got ${JSON.stringify(asked)}`);
  return kind === 'auto' ? detectPreview(terminal, env) : kind;
}

/** A picture as text for the terminal, ending in a new line. */
export function render(picture: Picture, kind: Exclude<PreviewKind, 'auto'>, columns = 32): string {
  if (kind === 'none') return '';
  if (kind === 'blocks') return blocks(fitted(picture, columns));
  if (kind === 'sixel') return `${sixel(fitted(picture, 192))}\n`;
  const png = encodePng(picture);
  const base64 = Buffer.from(png).toString('base64');
  if (kind === 'iterm') return `\u001b]1337;File=inline=1;size=${png.length};width=${columns};preserveAspectRatio=1:${base64}\u0007\n`;
  const chunks = base64.match(/.{1,4096}/g) ?? [];
  return `${chunks.map((chunk, i) => `\u001b_G${i === 0 ? `a=T,f=100,c=${columns},` : ''}m=${i + 1 < chunks.length ? 1 : 0};${chunk}\u001b\\`).join('')}\n`;
}

function fitted(picture: Picture, width: number): Picture {
  const height = Math.max(2, 2 * Math.round((width * picture.height) / picture.width / 2));
  return pictureOf(resized(tensorOf(picture, 'preview'), height, width));
}

/** Two pixels per character: the upper as foreground of ▀, the lower as background. */
function blocks({ width, height, data }: Picture): string {
  const color = (x: number, y: number): string => [0, 1, 2].map((c) => data[4 * (y * width + x) + c]).join(';');
  let text = '';
  for (let y = 0; y + 1 < height; y += 2) {
    for (let x = 0; x < width; x++) text += `\u001b[38;2;${color(x, y)};48;2;${color(x, y + 1)}m▀`;
    text += '\u001b[0m\n';
  }
  return text;
}

/** DEC sixel with a 6 × 6 × 6 palette: six rows at a time, one pass per colour that occurs in them. */
function sixel({ width, height, data }: Picture): string {
  const index = (x: number, y: number): number => [0, 1, 2].reduce((sum, c) => sum * 6 + Math.round((data[4 * (y * width + x) + c]! / 255) * 5), 0);
  let text = `\u001bPq"1;1;${width};${height}`;
  for (let i = 0; i < 216; i++) text += `#${i};2;${[Math.floor(i / 36), Math.floor(i / 6) % 6, i % 6].map((v) => v * 20).join(';')}`;
  for (let top = 0; top < height; top += 6) {
    const passes = new Map<number, Uint8Array>();
    for (let y = top; y < Math.min(top + 6, height); y++) {
      for (let x = 0; x < width; x++) {
        const color = index(x, y);
        const bits = passes.get(color) ?? new Uint8Array(width);
        bits[x]! |= 1 << (y - top);
        passes.set(color, bits);
      }
    }
    text += [...passes].map(([color, bits]) => `#${color}${Array.from(bits, (v) => String.fromCharCode(63 + v)).join('')}`).join('$');
    text += '-';
  }
  return `${text}\u001b\\`;
}

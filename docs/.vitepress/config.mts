import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { liveCode } from './live.mjs';

const sidebarFile = fileURLToPath(new URL('../api/typedoc-sidebar.json', import.meta.url));
const api = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];
const page = (text: string, link: string) => ({ text, link });

const folder = fileURLToPath(new URL('../decisions/', import.meta.url));
const decisions = readdirSync(folder).sort().map((name) => page(readFileSync(folder + name, 'utf8').split('\n')[0]!.replace('# ', ''), `/decisions/${name.replace('.md', '')}`));

/** A link out of docs/ (code, examples, results) as one to the repository; on GitHub the relative one works as it is. */
function outside(href: string, from: string): string {
  if (/^([a-z]+:|#|\/)/i.test(href)) return href;
  const path = posix.join('docs', posix.dirname(from), href);
  return path.startsWith('docs/') ? href : `https://github.com/ediffi/ediffi/blob/main/${path}`;
}

export default defineConfig({
  title: 'ediffi',
  description: 'eDiff-I for JavaScript: expert denoisers, paint with words',
  base: '/ediffi-base/', // scripts/docs.mjs makes it relative: the site works in any folder
  cleanUrls: false,
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  appearance: true,
  srcExclude: ['README.md'],
  ignoreDeadLinks: [/playground\//],
  markdown: {
    math: false,
    config(md) {
      md.core.ruler.push('outside', ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? [])) if (token.type === 'link_open') token.attrSet('href', outside(token.attrGet('href')!, (env as { relativePath: string }).relativePath));
      });
      const fence = md.renderer.rules.fence!;
      md.renderer.rules.fence = (...given) => {
        const [tokens, at] = given;
        const code = tokens[at]!.info.trim() === 'ts' ? liveCode(tokens[at]!.content) : undefined;
        return fence(...given) + (code === undefined ? '' : `<LiveExample code="${Buffer.from(code).toString('base64')}" />`);
      };
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    nav: [page('Start', '/start/node'), page('Guide', '/guide/ediff-i'), page('API', '/api/'), { text: 'Playground', link: '/playground/index.html', target: '_self' }],
    sidebar: {
      '/api/': [{ text: 'API', link: '/api/', items: api }],
      '/': [
      { text: 'Start', items: [page('In Node', '/start/node'), page('In a page', '/start/browser'), page('On a server', '/start/server'), page('Your own ONNX model', '/start/own-model'), page('Coming from diffusers, ComfyUI, A1111', '/start/coming-from')] },
      { text: 'Guide', items: [page('What eDiff-I is', '/guide/ediff-i'), page('Paint with words', '/guide/paint-with-words'), page('Experts', '/guide/experts'), page('Open a model from the hub', '/guide/open-a-model'), page('Solvers', '/guide/solvers'), page('Attention', '/guide/attention'), page('Seeds and determinism', '/guide/determinism'), page('Model files', '/guide/model-files'), page('Science', '/guide/science'), page('Where the formulas are', '/guide/what-is-where'), page('Glossary', '/guide/glossary')] },
      { text: 'Extend', items: [page('Write a solver', '/guide/write-a-solver'), page('Write a backend', '/guide/write-a-backend')] },
      { text: 'Decisions', collapsed: true, items: decisions },
      { text: 'API', link: '/api/' },
      ],
    },
  },
});

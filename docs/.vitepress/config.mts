import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { liveCode } from './live.mjs';

const sidebarFile = fileURLToPath(new URL('../api/typedoc-sidebar.json', import.meta.url));
const api = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];
const page = (text: string, link: string) => ({ text, link });

const folder = fileURLToPath(new URL('../decisions/', import.meta.url));
const decisions = readdirSync(folder).sort().map((name) => page(readFileSync(folder + name, 'utf8').split('\n')[0]!.replace('# ', ''), `/decisions/${name.replace('.md', '')}`));

export default defineConfig({
  title: 'ediffi',
  description: 'eDiff-I for JavaScript: expert denoisers, paint with words',
  base: '/ediffi-base/', // scripts/docs.mjs makes it relative: the site works in any folder
  cleanUrls: false,
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  appearance: true,
  srcExclude: ['README.md'],
  ignoreDeadLinks: [/playground\//, /\/packages\//, /\/contributing\//, /\/benchmarks\//, /\/examples\//, /^(\.\.\/){2}/],
  markdown: {
    math: false,
    config(md) {
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
      { text: 'Guide', items: [page('What eDiff-I is', '/guide/ediff-i'), page('Paint with words', '/guide/paint-with-words'), page('Experts', '/guide/experts'), page('Solvers', '/guide/solvers'), page('Attention', '/guide/attention'), page('Seeds and determinism', '/guide/determinism'), page('Model files', '/guide/model-files'), page('Science', '/guide/science'), page('Where the formulas are', '/guide/what-is-where'), page('Glossary', '/guide/glossary')] },
      { text: 'Extend', items: [page('Write a solver', '/guide/write-a-solver'), page('Write a backend', '/guide/write-a-backend')] },
      { text: 'Decisions', collapsed: true, items: decisions },
      { text: 'API', link: '/api/' },
      ],
    },
  },
});

// A Next app on the installed tarballs: a server route that answers with a painted PNG, and a client component that loads the browser's entry.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROMPT, SETTINGS } from './pages.mjs';

const ROUTE = `
import { loadEdiffi } from 'ediffi';
export const dynamic = 'force-dynamic';
export async function GET() {
  const ediffi = await loadEdiffi();
  const picture = await ediffi.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(SETTINGS)});
  await ediffi.dispose();
  return new Response(picture.toPng(), { headers: { 'content-type': 'image/png' } });
}
`;
const CLIENT = `
'use client';
import { useState } from 'react';
export default function Paint() {
  const [seen, setSeen] = useState('');
  const paint = async () => {
    const [{ loadEdiffi }, { ortWeb }] = await Promise.all([import('ediffi'), import('@ediffi/backends/ort-web')]);
    const ediffi = await loadEdiffi({ backend: ortWeb({ runtime: '/ort.wasm.bundle.min.mjs' }), baseUrl: '/model/' });
    setSeen(URL.createObjectURL(new Blob([(await ediffi.generate('a cat')).toPng()])));
  };
  return <button onClick={paint}>{seen || 'paint'}</button>;
}
`;

/** Writes the app; answers with its folder and the arguments that build it. */
export function nextApp(project) {
  const folder = join(project, 'next');
  mkdirSync(join(folder, 'app', 'picture'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "next-smoke", "private": true, "type": "module" }');
  writeFileSync(join(folder, 'next.config.mjs'), "export default { serverExternalPackages: ['ediffi', '@ediffi/backends', '@ediffi/model', 'onnxruntime-node'] };\n");
  writeFileSync(join(folder, 'app', 'layout.jsx'), "export default function Layout({ children }) { return <html lang='en'><body>{children}</body></html>; }\n");
  writeFileSync(join(folder, 'app', 'paint.jsx'), CLIENT.trimStart());
  writeFileSync(join(folder, 'app', 'page.jsx'), "import Paint from './paint.jsx';\nexport default function Page() { return <Paint />; }\n");
  writeFileSync(join(folder, 'app', 'picture', 'route.js'), ROUTE);
  return { folder, args: ['../node_modules/next/dist/bin/next', 'build'] };
}

/** Starts the built app, asks for the picture, gives its bytes. */
export async function pictureOf({ folder }, port = 3199) {
  const server = spawn(process.execPath, ['../node_modules/next/dist/bin/next', 'start', '-p', String(port)], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    for (let i = 0; i < 60; i++) {
      const answer = await fetch(`http://127.0.0.1:${port}/picture`).catch(() => undefined);
      if (answer?.ok) return new Uint8Array(await answer.arrayBuffer());
      if (answer) throw new Error(`${answer.status} ${(await answer.text()).slice(0, 300)}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Error('no answer in 30 s');
  } finally {
    server.kill();
  }
}

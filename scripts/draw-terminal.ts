/**
 * Draws the picture of the README: builds the quickstart in a terminal (tmux), with nothing cached, and saves what the screen shows
 * in the middle of it as `docs/quickstart.svg`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeBaseLayout } from './make-base-layout.ts';

const columns = 112;
const rows = 40;
/** What the screen shows when the picture is taken. */
const moment = /making the greeting \(2 of 3\)/;

interface Style {
  readonly color: string;
  readonly dim: boolean;
  readonly bold: boolean;
}

const plain: Style = { color: '', dim: false, bold: false };

const repository = path.resolve(import.meta.dirname, '..');
const state = mkdtempSync(path.join(tmpdir(), 'kiln-picture-'));
const tmux = (...args: readonly string[]): string =>
  execFileSync('tmux', ['-S', path.join(state, 'tmux'), ...args], { encoding: 'utf8' });

try {
  makeBaseLayout(path.join(state, 'base'));
  const build = [
    path.join(repository, 'bin/kiln'),
    ...['--root', path.join(state, 'root')],
    ...['build', '--progress', 'tty', '-t', 'quickstart'],
    ...['--build-context', `base=oci-layout://${path.join(state, 'base')}:latest`],
    ...['-o', `type=oci,dest=${path.join(state, 'image.tar')}`],
    path.join(repository, 'examples/quickstart'),
  ];
  // The pane is kept when the build ends, and the server is ended below.
  const size = ['-x', String(columns), '-y', String(rows)];
  tmux('new-session', '-d', ...size, `${build.join(' ')}; echo "exit code $?"; exec sleep 60`);
  let screen = '';
  const deadline = Date.now() + 30_000;
  while (!moment.test(screen)) {
    if (Date.now() > deadline) throw new Error(`the build never showed ${moment}:\n${screen}`);
    await delay(20);
    screen = tmux('capture-pane', '-e', '-p');
  }
  writeFileSync(path.join(repository, 'docs/quickstart.svg'), svg(screen.trimEnd().split('\n')));
  while (!/exit code \d/.test(screen)) {
    if (Date.now() > deadline) throw new Error(`the build did not finish:\n${screen}`);
    await delay(50);
    screen = tmux('capture-pane', '-p');
  }
} finally {
  try {
    tmux('kill-server');
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

function svg(lines: readonly string[]): string {
  const [charWidth, lineHeight, margin] = [7.83, 18, 16];
  const width = Math.ceil(columns * charWidth + 2 * margin);
  const height = (lines.length + 2) * lineHeight + 2 * margin;
  let style = plain;
  const drawn = ['$ kiln build -t quickstart -o type=oci,dest=image.tar examples/quickstart', ...lines].map(
    (line, index) => {
      const spans: string[] = [];
      for (const [, codes, text = ''] of line.matchAll(/(?:\x1b\[([\d;]*)m)?([^\x1b]*)/g)) {
        if (codes !== undefined) style = codes.split(';').map(Number).reduce(restyle, style);
        if (text !== '') spans.push(`<tspan${attributes(style)}>${escapeXml(text)}</tspan>`);
      }
      const y = margin + (index + 1) * lineHeight;
      return `<text x="${margin}" y="${y}">${spans.join('')}</text>`;
    },
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="The quickstart, half way: stages run in parallel">`,
    '<style>text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #d4d8de; }</style>',
    `<rect width="${width}" height="${height}" rx="8" fill="#15181d"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

/** The style after one number of a "select graphic rendition" sequence (ECMA-48, 8.3.117). */
function restyle(style: Style, code: number): Style {
  if (code === 0) return plain;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, color: '' };
  const color = ['', '#e5716b', '#7fb069', '#d9a441', '#6ea8fe', '#c792ea', '#5cc8d7', ''][code - 30];
  return color === undefined ? style : { ...style, color };
}

function attributes({ color, dim, bold }: Style): string {
  return [color && ` fill="${color}"`, dim && ' fill-opacity="0.65"', bold && ' font-weight="bold"']
    .filter(Boolean)
    .join('');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

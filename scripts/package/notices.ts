import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What the licenses ask for whose packages have files in the bundles: the packages' names, and what the files say of their copyright. */
export function notices(files: readonly string[]): string {
  const packages = [...new Set(files.flatMap((file) => packageOf(file) ?? []))].map((directory) => {
    const { name, version, license } = JSON.parse(
      readFileSync(path.join(directory, 'package.json'), 'utf8'),
    ) as { readonly name: string; readonly version: string; readonly license: string };
    return `- ${name} ${version}: ${license}`;
  });
  const headers = [...new Set(files.map(headerOf))].filter((text) => text.includes('Copyright'));
  return [
    'The bundles of this package have parts of these packages:',
    packages.join('\n'),
    'Their files say:',
    ...headers.map((text) => `\`\`\`\n${text}\n\`\`\``),
    '',
  ].join('\n\n');
}

/** The directory of the package that a file belongs to. */
function packageOf(file: string): string | undefined {
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}

/** The lines of comment at the top of a file. */
function headerOf(file: string): string {
  const lines = readFileSync(file, 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^\/\/ ?/, ''))
    .join('\n');
}

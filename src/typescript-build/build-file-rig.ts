import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type RigResult, runFrontend } from '../frontend/dockerfile/bridge-rig.ts';
import { type BuildFileLimits, createBuildFileFrontend } from './build-file-frontend.ts';

const image = {
  architecture: 'amd64',
  os: 'linux',
  config: { Env: ['PATH=/bin'] },
  rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`] },
};

export interface BuildFileRun {
  /** What `build.ts` has, or a file of another name; `~/` in front of imports stands for `./`. */
  readonly text: string;
  readonly name?: string;
  /** Other files of the project, by their paths. */
  readonly others?: Readonly<Record<string, string>>;
  readonly options?: Readonly<Record<string, string>>;
  readonly limits?: Partial<BuildFileLimits>;
  readonly onOutput?: (text: string) => void;
}

/** Runs a build file over a bridge in memory, which has the image `a:1` and a context with the file `a`. */
export async function runBuildFile({
  text,
  name = 'build.ts',
  others = {},
  options,
  limits,
  onOutput,
}: BuildFileRun): Promise<RigResult> {
  const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'kiln-build-file-')));
  try {
    const files = { 'package.json': '{}', ...others, [name]: text };
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
      writeFileSync(path.join(directory, file), content.replaceAll("from '~/", "from './"));
    }
    const frontend = createBuildFileFrontend({ file: path.join(directory, name), limits, onOutput });
    return await runFrontend({
      dockerfile: '',
      files: { context: { a: 'text' } },
      images: { 'docker.io/library/a:1': image },
      options,
      frontend: { name: 'build file', ...frontend },
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyHostProgram } from '../rig/host-program.ts';
import type { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import type { WorkDirectory } from '../rig/work-directory.ts';

/** Where the program of the image is. */
const directory = '/kiln';
const parts = [
  'package.json',
  ...['base', 'api', 'oci', 'llb', 'frontend', 'gateway'].map((room) => `src/${room}`),
  ...['@bufbuild/protobuf', '@connectrpc/connect', 're2js'].map((name) => `node_modules/${name}`),
  'test/frontends/frontend-program.ts',
];

/** Pushes an image whose frontend is `frontend-program.ts`, with the Node that runs this. */
export async function pushFrontendImage(kiln: Kiln, work: WorkDirectory, reference: string): Promise<void> {
  const context = work.tree({});
  await copyHostProgram(process.execPath, path.join(context, 'root'));
  for (const part of parts) {
    cpSync(path.join(project.root, part), path.join(context, 'root', directory, part), { recursive: true });
  }
  const program = [process.execPath, `${directory}/test/frontends/frontend-program.ts`];
  writeFileSync(
    path.join(context, 'Dockerfile'),
    `FROM scratch
COPY root /
LABEL moby.buildkit.frontend.network.none=true
LABEL moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts
ENTRYPOINT ${JSON.stringify(program)}
`,
  );
  await pushImage(kiln, context, reference);
}

/** Builds a context, and pushes the image to a registry of this machine. */
export async function pushImage(
  kiln: Kiln,
  context: string,
  reference: string,
  args: readonly string[] = [],
): Promise<void> {
  await kiln.build(context, [
    ...['-o', `type=image,name=${reference},push=true,registry.insecure=true,compression=uncompressed`],
    ...args,
  ]);
}

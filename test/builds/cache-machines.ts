import assert from 'node:assert/strict';
import { type RegistryRig, startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import type { Built } from '../rig/kiln.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** A base image, a stage whose files are copied, content of the context, a cache mount. Six steps. */
const dockerfile = `
FROM base AS build
RUN echo one > /one
COPY file.txt /file.txt
RUN --mount=type=cache,target=/cache echo used >> /cache/log && cat /file.txt /one > /two
FROM base
RUN echo three > /three
COPY --from=build /two /two
RUN --mount=type=bind,from=build,source=/one,target=/one cat /one /two /three > /all
`;

/** Two machines, neither of which has anything of the other, and a registry between them. */
export interface CacheMachines {
  readonly work: WorkDirectory;
  readonly registry: RegistryRig;
  readonly one: Daemon;
  readonly other: Daemon;
  /** Returns a context that nobody has built. */
  newContext(dockerfile?: string): string;
  /** The options of a cache in the registry, followed by `more`. */
  registryCache(name: string, more?: string): string;
  /** What the registry has under the name. */
  documentOf(name: string): Promise<RegistryDocument>;
}

export interface RegistryDocument {
  readonly mediaType: string;
  readonly config?: Described;
  readonly layers?: readonly Described[];
  readonly manifests?: readonly Described[];
}

interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Opens machines that the tests of a file share: see `suiteRig`. */
export function cacheMachines(): CacheMachines {
  let contexts = 0;
  return suiteRig(async (resources): Promise<CacheMachines> => {
    const work = resources.use(new WorkDirectory());
    const registry = resources.use(await startRegistry());
    const one = resources.use(await Daemon.start());
    const other = resources.use(await Daemon.start());
    return {
      ...{ work, registry, one, other },
      newContext(text = dockerfile) {
        const name = `${process.pid}-${contexts++}`;
        return work.tree({ Dockerfile: text.replaceAll('echo ', `echo ${name} `), 'file.txt': `${name}\n` });
      },
      registryCache: (name, more = '') => `type=registry,ref=${registry.host}/${name}${more}`,
      async documentOf(name) {
        const types = [
          'application/vnd.oci.image.manifest.v1+json',
          'application/vnd.oci.image.index.v1+json',
          'application/vnd.docker.distribution.manifest.list.v2+json',
        ];
        const answer = await fetch(`http://${registry.host}/v2/${name}/manifests/latest`, {
          headers: { accept: types.join(', ') },
        });
        assert.equal(answer.status, 200);
        return (await answer.json()) as RegistryDocument;
      },
    };
  });
}

/** Why the step that has `text` in it ran. */
export function explanationOf({ events }: Built, text: string): string {
  return events.explanation(events.vertex(text).digest) ?? '';
}

/** Blobs that were fetched in a build, for whatever step. */
export function fetchedBlobs({ events }: Built): readonly string[] {
  return events.statuses
    .filter(({ id, total }) => id.startsWith('sha256:') && total !== undefined)
    .map(({ id }) => id);
}

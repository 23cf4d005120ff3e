import { KilnError } from '../base/errors.ts';
import type { FrontendRequest, WorkerInfo } from '../frontend/frontend.ts';
import { platformFromJson } from '../oci/platform-json.ts';

/** What a frontend that is a program is told when it is started. */
export interface FrontendSurroundings extends Pick<FrontendRequest, 'options' | 'sessionId'> {
  readonly workers: readonly WorkerInfo[];
}

const optionPrefix = 'BUILDKIT_FRONTEND_OPT_';

/** Reads the environment that a daemon gives a frontend. Throws `failed_precondition` for one that no daemon gives. */
export function readSurroundings(
  environment: Readonly<Record<string, string | undefined>>,
): FrontendSurroundings {
  const options = Object.entries(environment).flatMap(([name, entry = '']): [string, string][] => {
    if (!name.startsWith(optionPrefix)) return [];
    const at = entry.indexOf('=');
    return at < 0 ? [[entry, '']] : [[entry.slice(0, at), entry.slice(at + 1)]];
  });
  return {
    options: Object.fromEntries(options),
    sessionId: environment.BUILDKIT_SESSION_ID ?? '',
    workers: readWorkers(environment.BUILDKIT_WORKERS),
  };
}

function readWorkers(text: string | undefined): readonly WorkerInfo[] {
  if (text === undefined) {
    throw new KilnError(
      'failed_precondition',
      'this program is a frontend, which only a build daemon can run',
      {
        hint: 'make an image of it, and name the image in a build: # syntax=IMAGE',
      },
    );
  }
  const listed = JSON.parse(text) as readonly {
    readonly ID: string;
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly Platforms: readonly unknown[] | null;
  }[];
  return listed.map(({ ID, Labels, Platforms }) => ({
    id: ID,
    labels: Labels ?? {},
    platforms: (Platforms ?? []).flatMap((platform) => platformFromJson(platform) ?? []),
  }));
}

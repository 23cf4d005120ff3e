import type { Answer } from './answer.ts';
import { type Subrequest, subrequests } from './subrequest.ts';
import { textTable } from './text-table.ts';

const prefix = 'frontend.';

/** Which questions a frontend answers: those of the Dockerfile's by default. */
export function describeSubrequests(all: readonly Subrequest[] = Object.values(subrequests)): Answer {
  return {
    json: all.map(({ name, version, description, options, metadata }) => ({
      name,
      version,
      type: 'rpc',
      description,
      opts: options,
      inputs: [],
      metadata: metadata.map((key) => ({ name: key, description: '' })),
      refs: [],
    })),
    text: textTable(
      [
        ['NAME', 'VERSION', 'DESCRIPTION'],
        ...all.map(({ name, version, description }) => [name.replace(prefix, ''), version, description]),
      ],
      1,
    ),
  };
}

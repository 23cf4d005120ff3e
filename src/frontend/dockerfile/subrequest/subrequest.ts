/** A question that clients can ask instead of building, by the name in the option `requestid`. */
export interface Subrequest {
  readonly name: string;
  /** Of the form of its answer. */
  readonly version: string;
  readonly description: string;
  /** Options that it heeds. */
  readonly options: readonly { readonly name: string; readonly description: string }[];
  /** Keys of its answer besides `version`. */
  readonly metadata: readonly string[];
}

const answer = ['result.json', 'result.txt'];

export const subrequests = {
  outline: {
    name: 'frontend.outline',
    version: '1.0.0',
    description: 'List all parameters current build target supports',
    options: [{ name: 'target', description: 'Target build stage' }],
    metadata: answer,
  },
  targets: {
    name: 'frontend.targets',
    version: '1.0.0',
    description: 'List all targets current build supports',
    options: [],
    metadata: answer,
  },
  lint: {
    name: 'frontend.lint',
    version: '1.0.0',
    description: 'Lint a Dockerfile',
    options: [],
    metadata: [...answer, 'result.statuscode'],
  },
  describe: {
    name: 'frontend.subrequests.describe',
    version: '1.0.0',
    description: 'List available subrequest types',
    options: [],
    metadata: answer,
  },
} as const satisfies Readonly<Record<string, Subrequest>>;

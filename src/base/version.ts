import packageJson from '../../package.json' with { type: 'json' };

export const version: string = packageJson.version;

/** The version of BuildKit whose behaviour clients can count on. */
export const buildkitVersion = '0.32.2';

/** What servers are told of who asks. Some of them treat BuildKit in ways of their own. */
export const userAgent = `buildkit/v${buildkitVersion.replace(/\.\d+$/, '')} kiln/${version}`;

/** The version of the Dockerfile syntax that the frontend understands. */
export const dockerfileVersion = '1.26.0';

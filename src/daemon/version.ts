import packageJson from '../../package.json' with { type: 'json' };

export const version: string = packageJson.version;

/** The version of the Dockerfile syntax that the frontend understands. */
export const dockerfileVersion = '1.26.0';

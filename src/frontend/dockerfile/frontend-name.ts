/** As clients name the frontend that builds Dockerfiles. */
export const dockerfileFrontend = 'dockerfile.v0';

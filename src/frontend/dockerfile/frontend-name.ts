/** As clients name the frontend that builds Dockerfiles. */
export const dockerfileFrontend = 'dockerfile.v0';

/** As clients name the frontend that runs others, which are images. */
export const gatewayFrontend = 'gateway.v0';

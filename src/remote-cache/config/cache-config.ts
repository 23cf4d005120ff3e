export const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0';

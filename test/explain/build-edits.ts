import type { Edit } from './edit.ts';

/** Changes of how the project is built: arguments, target, base image, platform, cache. */
export const buildEdits: readonly Edit[] = [
  {
    name: 'an argument that is used',
    args: ['--build-arg', 'MODE=debug'],
    ran: {
      'build: RUN cat src/* > program && echo debug': 'variable MODE is now "debug", was "release"',
      'build: RUN cp program out': 'variable MODE is now "debug", was "release"',
      'build: RUN echo checked': 'variable MODE is now "debug", was "release"',
    },
  },
  {
    name: 'an argument that no instruction mentions',
    args: ['--build-arg', 'UNUSED=y'],
    ran: {
      'build: RUN cat src/* > program && echo release': 'variable UNUSED is now "y", was "x"',
      'build: RUN cp program out': 'variable UNUSED is now "y", was "x"',
      'build: RUN echo checked': 'variable UNUSED is now "y", was "x"',
    },
  },
  { name: 'an argument that is not declared', args: ['--build-arg', 'OTHER=y'], ran: {} },
  { name: 'another target', args: ['--target', 'build'], ran: {} },
  {
    name: 'a target that was not built before',
    args: ['--target', 'unused'],
    ran: { 'unused: COPY unused.txt /': '' },
  },
  {
    name: 'a new digest of the base image',
    newBase: true,
    ran: {
      'assets: COPY --chmod=644 assets /assets':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'build: COPY scripts/run.sh scripts/':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'build: COPY src/ src/':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'build: RUN cat src/* > program && echo release':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'build: RUN cp program out':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'build: RUN echo checked':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'deps: COPY package.json .':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'deps: WORKDIR /app':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'final: COPY --from=assets /assets /srv':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'final: COPY --from=build /app/out /usr/bin/out':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
      'final: RUN echo ready':
        'image docker.io/library/base is now sha256:34a904a23de7, was sha256:98acefda6ddc',
    },
  },
  {
    name: 'another platform',
    args: ['--platform', 'linux/arm64'],
    ran: {
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'the platform is now linux/arm64, was linux/amd64',
      'build: COPY scripts/run.sh scripts/':
        'RUN --mount=type=cache,target=/cache cp package.json lock ran again: the platform is now linux/arm64, was linux/amd64',
      'build: COPY src/ src/':
        'RUN --mount=type=cache,target=/cache cp package.json lock ran again: the platform is now linux/arm64, was linux/amd64',
      'build: RUN cat src/* > program && echo release': 'the platform is now linux/arm64, was linux/amd64',
      'build: RUN cp program out': 'the platform is now linux/arm64, was linux/amd64',
      'build: RUN echo checked': 'the platform is now linux/arm64, was linux/amd64',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock':
        'the platform is now linux/arm64, was linux/amd64',
      'final: RUN echo ready': 'the platform is now linux/arm64, was linux/amd64',
    },
  },
  {
    name: '--no-cache-filter',
    args: ['--no-cache-filter', 'assets'],
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'caching is off for this step',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'caching is off for this step',
    },
  },
  {
    name: '--no-cache',
    args: ['--no-cache'],
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'caching is off for this step',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'caching is off for this step',
      'build: COPY scripts/run.sh scripts/': 'caching is off for this step',
      'build: COPY src/ src/': 'caching is off for this step',
      'build: RUN cat src/* > program && echo release': 'caching is off for this step',
      'build: RUN cp program out': 'caching is off for this step',
      'build: RUN echo checked': 'caching is off for this step',
      'deps: COPY package.json .': 'caching is off for this step',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock': 'caching is off for this step',
      'final: COPY --from=assets /assets /srv': 'caching is off for this step',
      'final: COPY --from=build /app/out /usr/bin/out': 'caching is off for this step',
      'final: RUN echo ready': 'caching is off for this step',
    },
  },
  {
    name: 'a cache that was emptied',
    pruned: true,
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'its record is no longer in the cache',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'its record is no longer in the cache',
      'build: COPY scripts/run.sh scripts/': 'its record is no longer in the cache',
      'build: COPY src/ src/': 'its record is no longer in the cache',
      'build: RUN cat src/* > program && echo release': 'its record is no longer in the cache',
      'build: RUN cp program out': 'its record is no longer in the cache',
      'build: RUN echo checked': 'its record is no longer in the cache',
      'deps: COPY package.json .': 'its record is no longer in the cache',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock':
        'its record is no longer in the cache',
      'deps: WORKDIR /app': 'its record is no longer in the cache',
      'final: COPY --from=assets /assets /srv': 'its record is no longer in the cache',
      'final: COPY --from=build /app/out /usr/bin/out': 'its record is no longer in the cache',
      'final: RUN echo ready': 'its record is no longer in the cache',
    },
  },
];

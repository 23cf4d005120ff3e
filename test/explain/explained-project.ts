import type { FileSpec } from '../rig/work-directory.ts';

/** A project with stages of all kinds, which the edits of `edits.ts` are made to. */
export const explainedProject: Readonly<Record<string, FileSpec>> = {
  Dockerfile: `
FROM base AS deps
WORKDIR /app
COPY package.json .
RUN --mount=type=cache,target=/cache cp package.json lock

FROM deps AS build
ARG MODE=release
ARG UNUSED=x
COPY src/ src/
COPY scripts/run.sh scripts/
RUN cat src/* > program && echo $MODE
RUN cp program out
RUN echo checked

FROM base AS assets
ENV COLOR=red
COPY --chmod=644 assets /assets
RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual

FROM base AS unused
COPY unused.txt /

FROM base AS final
COPY --from=build /app/out /usr/bin/out
COPY --from=assets /assets /srv
RUN echo ready
LABEL team=one
CMD ["out"]
`,
  '.dockerignore': '**/*.log\n',
  'package.json': '{}',
  'src/main.c': 'main',
  'src/util.c': 'util',
  'src/link': { link: 'util.c' },
  'src/debug.log': 'noise',
  'scripts/run.sh': { content: 'run', mode: 0o755 },
  'scripts/other.sh': 'other',
  'assets/logo.svg': 'logo',
  'assets/style.css': 'style',
  'docs/manual.txt': 'manual',
  'unused.txt': 'unused',
};

import { chmodSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Edit } from './edit.ts';

const file = (name: string, change: (file: string) => void) => (context: string) =>
  change(path.join(context, name));

/** Edits of the files of the context, all but the Dockerfile. */
export const fileEdits: readonly Edit[] = [
  { name: 'nothing', ran: {} },
  {
    name: "a file's content",
    change: file('src/main.c', (name) => writeFileSync(name, 'new main')),
    ran: {
      'build: COPY scripts/run.sh scripts/': 'COPY src/ src/ ran again: src/main.c changed (content)',
      'build: COPY src/ src/': 'src/main.c changed (content)',
      'build: RUN cat src/* > program && echo release':
        'COPY src/ src/ ran again: src/main.c changed (content)',
      'build: RUN cp program out': 'COPY src/ src/ ran again: src/main.c changed (content)',
      'build: RUN echo checked': 'COPY src/ src/ ran again: src/main.c changed (content)',
      'final: COPY --from=assets /assets /srv':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
      'final: COPY --from=build /app/out /usr/bin/out': '/app/out from build changed (content)',
      'final: RUN echo ready':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
    },
  },
  {
    name: "a file's mode",
    change: file('src/main.c', (name) => chmodSync(name, 0o755)),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'COPY src/ src/ ran again: src/main.c changed (mode 0644 to 0755)',
      'build: COPY src/ src/': 'src/main.c changed (mode 0644 to 0755)',
      'build: RUN cat src/* > program && echo release':
        'COPY src/ src/ ran again: src/main.c changed (mode 0644 to 0755)',
      'build: RUN cp program out': 'COPY src/ src/ ran again: src/main.c changed (mode 0644 to 0755)',
      'build: RUN echo checked': 'COPY src/ src/ ran again: src/main.c changed (mode 0644 to 0755)',
    },
  },
  {
    name: "a file's time stamp only",
    change: file('src/main.c', (name) => utimesSync(name, 1e9, 1e9)),
    ran: {},
  },
  {
    name: 'a file that .dockerignore leaves out',
    change: file('src/debug.log', (name) => writeFileSync(name, 'more')),
    ran: {},
  },
  {
    name: 'a file that no step reads',
    change: file('scripts/other.sh', (name) => writeFileSync(name, 'x')),
    ran: {},
  },
  {
    name: 'a file of a stage that nothing needs',
    change: file('unused.txt', (name) => writeFileSync(name, 'x')),
    ran: {},
  },
  {
    name: 'a file that is mounted',
    change: file('docs/manual.txt', (name) => writeFileSync(name, 'new manual')),
    ran: {
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'docs/manual.txt changed (content)',
    },
  },
  {
    name: 'a new file',
    change: file('src/new.c', (name) => writeFileSync(name, 'new')),
    ran: {
      'build: COPY scripts/run.sh scripts/': 'COPY src/ src/ ran again: src/new.c was added',
      'build: COPY src/ src/': 'src/new.c was added',
      'build: RUN cat src/* > program && echo release': 'COPY src/ src/ ran again: src/new.c was added',
      'build: RUN cp program out': 'COPY src/ src/ ran again: src/new.c was added',
      'build: RUN echo checked': 'COPY src/ src/ ran again: src/new.c was added',
      'final: COPY --from=assets /assets /srv':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
      'final: COPY --from=build /app/out /usr/bin/out': '/app/out from build changed (content)',
      'final: RUN echo ready':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
    },
  },
  {
    name: 'a file that is gone',
    change: file('assets/style.css', (name) => rmSync(name)),
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'assets/style.css was removed',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'COPY --chmod=644 assets /assets ran again: assets/style.css was removed',
      'final: COPY --from=assets /assets /srv': '/assets/style.css from assets was removed',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv ran again: /assets/style.css from assets was removed',
    },
  },
  {
    name: 'a file with another name',
    change: file('assets/logo.svg', (name) => renameSync(name, `${name}.bak`)),
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'assets/logo.svg was renamed to assets/logo.svg.bak',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'COPY --chmod=644 assets /assets ran again: assets/logo.svg was renamed to assets/logo.svg.bak',
      'final: COPY --from=assets /assets /srv':
        '/assets/logo.svg from assets was renamed to /assets/logo.svg.bak',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv ran again: /assets/logo.svg from assets was renamed to /assets/logo.svg.bak',
    },
  },
  {
    name: "a link's target",
    change: file('src/link', (name) => {
      rmSync(name);
      symlinkSync('main.c', name);
    }),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'COPY src/ src/ ran again: src/link changed (link to main.c, was to util.c)',
      'build: COPY src/ src/': 'src/link changed (link to main.c, was to util.c)',
      'build: RUN cat src/* > program && echo release':
        'COPY src/ src/ ran again: src/link changed (link to main.c, was to util.c)',
      'build: RUN cp program out':
        'COPY src/ src/ ran again: src/link changed (link to main.c, was to util.c)',
      'build: RUN echo checked': 'COPY src/ src/ ran again: src/link changed (link to main.c, was to util.c)',
      'final: COPY --from=assets /assets /srv':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
      'final: COPY --from=build /app/out /usr/bin/out': '/app/out from build changed (content)',
      'final: RUN echo ready':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
    },
  },
  {
    name: 'a file in place of another',
    change: file('assets/style.css', (name) => {
      rmSync(name);
      writeFileSync(path.join(path.dirname(name), 'other.css'), 'x');
    }),
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'assets/other.css was added, and 1 more',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'COPY --chmod=644 assets /assets ran again: assets/other.css was added, and 1 more',
      'final: COPY --from=assets /assets /srv': '/assets/other.css from assets was added, and 1 more',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv ran again: /assets/other.css from assets was added, and 1 more',
    },
  },
  {
    name: 'a rule more in .dockerignore',
    change: file('.dockerignore', (name) => writeFileSync(name, '**/*.log\nassets/logo.svg\n')),
    ran: {
      'assets: COPY --chmod=644 assets /assets': 'assets/logo.svg was removed',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'COPY --chmod=644 assets /assets ran again: assets/logo.svg was removed',
      'final: COPY --from=assets /assets /srv': '/assets/logo.svg from assets was removed',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv ran again: /assets/logo.svg from assets was removed',
    },
  },
];

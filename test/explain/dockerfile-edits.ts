import path from 'node:path';
import type { Edit } from './edit.ts';
import { replaceInFile } from './replace-in-file.ts';

const dockerfile = (from: string, to: string) => (context: string) =>
  replaceInFile(path.join(context, 'Dockerfile'), from, to);

/** Edits of the Dockerfile. */
export const dockerfileEdits: readonly Edit[] = [
  {
    name: "a variable's value",
    change: dockerfile('COLOR=red', 'COLOR=blue'),
    ran: {
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'variable COLOR is now "blue", was "red"',
    },
  },
  {
    name: 'a new variable',
    change: dockerfile('ENV COLOR=red', 'ENV COLOR=red SIZE=10'),
    ran: {
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'variable SIZE is new, "10"',
    },
  },
  { name: 'a comment', change: dockerfile('RUN cp program', '# a comment\nRUN cp program'), ran: {} },
  {
    name: 'white space between instructions and words',
    change: dockerfile('COPY src/ src/', '\n\nCOPY   src/   src/'),
    ran: {},
  },
  {
    name: 'white space in a command',
    change: dockerfile('RUN cp program out', 'RUN cp  program out'),
    ran: {
      'build: RUN cp  program out': 'the command is now "cp  program out", was "cp program out"',
      'build: RUN echo checked':
        'RUN cp program out ran again: the command is now "cp  program out", was "cp program out"',
    },
  },
  {
    name: 'a command',
    change: dockerfile('RUN cp program out', 'RUN cp program out && true'),
    ran: {
      'build: RUN cp program out && true':
        'the command is now "cp program out && true", was "cp program out"',
      'build: RUN echo checked':
        'RUN cp program out && true ran again: the command is now "cp program out && true", was "cp program out"',
    },
  },
  {
    name: 'a new instruction',
    change: dockerfile('RUN cp program out', 'RUN true\nRUN cp program out'),
    ran: {
      'build: RUN cp program out': 'RUN true ran again: no earlier build had this step',
      'build: RUN echo checked': 'RUN true ran again: no earlier build had this step',
      'build: RUN true': 'no earlier build had this step',
    },
  },
  {
    name: 'an instruction that is gone',
    change: dockerfile('COPY scripts/run.sh scripts/\n', ''),
    ran: {
      'build: RUN cat src/* > program && echo release':
        'it follows "COPY src/ src/" now, followed "COPY scripts/run.sh scripts/" before',
      'build: RUN cp program out':
        'RUN cat src/* > program && echo release ran again: it follows "COPY src/ src/" now, followed "COPY scripts/run.sh scripts/" before',
      'build: RUN echo checked':
        'RUN cat src/* > program && echo release ran again: it follows "COPY src/ src/" now, followed "COPY scripts/run.sh scripts/" before',
    },
  },
  {
    name: 'two instructions in the other order',
    change: dockerfile('RUN cp program out\nRUN echo checked', 'RUN echo checked\nRUN cp program out'),
    ran: {
      'build: RUN cp program out':
        'it follows "RUN echo checked" now, followed "RUN cat src/* > program && echo release" before',
      'build: RUN echo checked':
        'it follows "RUN cat src/* > program && echo release" now, followed "RUN cp program out" before',
    },
  },
  {
    name: 'a copy of other files',
    change: dockerfile('COPY src/ src/', 'COPY assets/ src/'),
    ran: {
      'build: COPY assets/ src/': 'the source is now "assets", was "src"',
      'build: COPY scripts/run.sh scripts/':
        'COPY assets/ src/ ran again: the source is now "assets", was "src"',
      'build: RUN cat src/* > program && echo release':
        'COPY assets/ src/ ran again: the source is now "assets", was "src"',
      'build: RUN cp program out': 'COPY assets/ src/ ran again: the source is now "assets", was "src"',
      'build: RUN echo checked': 'COPY assets/ src/ ran again: the source is now "assets", was "src"',
      'final: COPY --from=assets /assets /srv':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
      'final: COPY --from=build /app/out /usr/bin/out': '/app/out from build changed (content)',
      'final: RUN echo ready':
        'COPY --from=build /app/out /usr/bin/out ran again: /app/out from build changed (content)',
    },
  },
  {
    name: 'a copy to another place',
    change: dockerfile('/assets /srv', '/assets /srv/www'),
    ran: {
      'final: COPY --from=assets /assets /srv/www': 'the destination is now "/srv/www", was "/srv"',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv/www ran again: the destination is now "/srv/www", was "/srv"',
    },
  },
  {
    name: 'an owner',
    change: dockerfile('COPY package.json .', 'COPY --chown=5:5 package.json .'),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
      'build: COPY src/ src/': 'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
      'build: RUN cat src/* > program && echo release':
        'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
      'build: RUN cp program out': 'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
      'build: RUN echo checked': 'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
      'deps: COPY --chown=5:5 package.json .': '--chown is new, "5:5"',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock':
        'COPY --chown=5:5 package.json . ran again: --chown is new, "5:5"',
    },
  },
  {
    name: 'a mode for what is copied',
    change: dockerfile('--chmod=644 assets', '--chmod=600 assets'),
    ran: {
      'assets: COPY --chmod=600 assets /assets': '--chmod is now "0600", was "0644"',
      'assets: RUN --mount=type=bind,source=docs,target=/docs cat /docs/manual.txt > /manual':
        'COPY --chmod=600 assets /assets ran again: --chmod is now "0600", was "0644"',
      'final: COPY --from=assets /assets /srv': '/assets from assets changed (mode 0644 to 0600), and 2 more',
      'final: RUN echo ready':
        'COPY --from=assets /assets /srv ran again: /assets from assets changed (mode 0644 to 0600), and 2 more',
    },
  },
  {
    name: 'the target of a mount',
    change: dockerfile('target=/cache', 'target=/var/cache'),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'RUN --mount=type=cache,target=/var/cache cp package.json lock ran again: the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
      'build: COPY src/ src/':
        'RUN --mount=type=cache,target=/var/cache cp package.json lock ran again: the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
      'build: RUN cat src/* > program && echo release':
        'RUN --mount=type=cache,target=/var/cache cp package.json lock ran again: the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
      'build: RUN cp program out':
        'RUN --mount=type=cache,target=/var/cache cp package.json lock ran again: the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
      'build: RUN echo checked':
        'RUN --mount=type=cache,target=/var/cache cp package.json lock ran again: the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
      'deps: RUN --mount=type=cache,target=/var/cache cp package.json lock':
        'the mount at /var/cache is new, "cache,id=//var/cache,sharing=shared"',
    },
  },
  {
    name: 'the id of a cache mount',
    change: dockerfile('type=cache,', 'type=cache,id=other,'),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
      'build: COPY src/ src/':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
      'build: RUN cat src/* > program && echo release':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
      'build: RUN cp program out':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
      'build: RUN echo checked':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
      'deps: RUN --mount=type=cache,id=other,target=/cache cp package.json lock':
        'the mount at /cache is now "cache,own id", was "cache,id=//cache,sharing=shared"',
    },
  },
  {
    name: 'the working directory',
    change: dockerfile('WORKDIR /app', 'WORKDIR /app/./'),
    ran: {
      'build: COPY scripts/run.sh scripts/':
        'RUN --mount=type=cache,target=/cache cp package.json lock ran again: WORKDIR is now "/app/./", was "/app"',
      'build: COPY src/ src/':
        'RUN --mount=type=cache,target=/cache cp package.json lock ran again: WORKDIR is now "/app/./", was "/app"',
      'build: RUN cat src/* > program && echo release': 'WORKDIR is now "/app/./", was "/app"',
      'build: RUN cp program out': 'WORKDIR is now "/app/./", was "/app"',
      'build: RUN echo checked': 'WORKDIR is now "/app/./", was "/app"',
      'deps: RUN --mount=type=cache,target=/cache cp package.json lock':
        'WORKDIR is now "/app/./", was "/app"',
    },
  },
  {
    name: 'a user',
    change: dockerfile('RUN echo ready', 'USER 65534\nRUN echo ready'),
    ran: { 'final: RUN echo ready': 'USER is now "65534", was ""' },
  },
  {
    name: 'the network',
    change: dockerfile('RUN echo ready', 'RUN --network=none echo ready'),
    ran: { 'final: RUN --network=none echo ready': '--network is now "none", was "sandbox"' },
  },
  { name: 'a label', change: dockerfile('team=one', 'team=two'), ran: {} },
  { name: 'the command of the image', change: dockerfile('CMD ["out"]', 'CMD ["out", "-v"]'), ran: {} },
  {
    name: "a stage's name",
    change: (context) => {
      dockerfile('deps AS build', 'deps AS compile')(context);
      dockerfile('--from=build', '--from=compile')(context);
    },
    ran: {},
  },
  {
    name: 'the stages in another order',
    change: (context) => {
      const text = 'FROM base AS unused\nCOPY unused.txt /\n\n';
      dockerfile(text, '')(context);
      dockerfile('FROM base AS deps', `${text}FROM base AS deps`)(context);
    },
    ran: {},
  },
];

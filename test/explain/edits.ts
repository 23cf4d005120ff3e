import { chmodSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { replaceInFile } from './replace-in-file.ts';

/** An edit of the project, and what the next build makes of it. */
export interface Edit {
  readonly name: string;
  /** Changes the files in `context`. */
  readonly change?: (context: string) => void;
  /** Flags of the build. */
  readonly args?: readonly string[];
  /** Uses a base image of other content. */
  readonly newBase?: boolean;
  /** Empties the cache before. */
  readonly pruned?: boolean;
  /**
   * What ran (`stage: instruction`), and why. All other steps were cached. BuildKit (v0.32.2) was seen to run the same
   * steps after every one of these edits; `print-edits.ts` shows what a daemon does.
   */
  readonly ran: Readonly<Record<string, string>>;
}

const dockerfile = (from: string, to: string) => (context: string) =>
  replaceInFile(path.join(context, 'Dockerfile'), from, to);

const file = (name: string, change: (file: string) => void) => (context: string) =>
  change(path.join(context, name));

export const edits: readonly Edit[] = [
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
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
      'build: COPY src/ src/':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
      'build: RUN cat src/* > program && echo release':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
      'build: RUN cp program out':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
      'build: RUN echo checked':
        'RUN --mount=type=cache,id=other,target=/cache cp package.json lock ran again: the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
      'deps: RUN --mount=type=cache,id=other,target=/cache cp package.json lock':
        'the mount at /cache is now "cache,id=/other,sharing=shared", was "cache,id=//cache,sharing=shared"',
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

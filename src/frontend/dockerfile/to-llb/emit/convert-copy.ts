import { randomUUID } from 'node:crypto';
import { KilnError } from '../../../../base/errors.ts';
import { cleanPath, joinPath } from '../../../../llb/clean-path.ts';
import { checksumHint, parseFileChecksum } from '../../../../llb/file-checksum.ts';
import { type GitRef, isHttpUrl, parseGitRef } from '../../../../llb/git-ref.ts';
import {
  type CopyOptions,
  type FileActions,
  files,
  git,
  http,
  merge,
  type State,
  scratch,
} from '../../../../llb/llb.ts';
import { atFlag } from '../../dockerfile-error.ts';
import { parseWord } from '../../expand/parse-word.ts';
import type { Linter } from '../../lint/linter.ts';
import { lintRules } from '../../lint/rules.ts';
import type { AddInstruction, CopyInstruction } from '../../parse/instruction-tree.ts';
import type { Command } from '../plan/stage-graph.ts';
import { parseChmod } from '../values/chmod.ts';
import { resolveTargetPath, toSlash, withoutDrive } from '../values/target-path.ts';
import { urlFilename } from '../values/url-filename.ts';
import { displayName } from './display-name.ts';
import type { StageBuilder, VertexName } from './stage-builder.ts';
import type { TreeState } from './tree-state.ts';

type CopyOrAdd = CopyInstruction | AddInstruction;

/** An instruction's words with variables expanded. */
interface Expanded {
  readonly instruction: CopyOrAdd;
  readonly sources: readonly string[];
  readonly dest: string;
  readonly documents: CopyOrAdd['documents'];
  readonly chown: string;
  readonly chmod: string;
  readonly checksum: string;
}

/** `COPY` and `ADD`: one file op that copies every source. */
export function convertCopy(
  stage: StageBuilder,
  command: Command,
  instruction: CopyOrAdd,
  linter: Linter,
  treeOf: TreeState,
): void {
  const words = expand(stage, instruction, linter);
  checkChecksum(words);
  const source = sourceTree(stage, command, instruction, treeOf);
  const name = stage.nextName(displayName(stage, instruction.code), command);
  // With a slash, files are copied into the working directory and not in its place.
  const written = words.dest === '' || words.dest === '.' ? './' : words.dest;
  const dest = resolveTargetPath(stage.state.settings.dir, written, stage.os, true);
  const copied = new CopyBuilder(stage, words, source, name, linter).build(dest);
  apply(stage, instruction, copied, name, words);
  stage.commit(historyText(words), true);
  for (const path of words.sources) {
    if (!/^https?:\/\//.test(path)) source.paths.add(joinPath('/', toSlash(path, stage.os)));
  }
}

function expand(stage: StageBuilder, instruction: CopyOrAdd, linter: Linter): Expanded {
  const word = (text = '') => stage.expand(text, instruction, linter);
  const { flags } = instruction;
  return {
    instruction,
    chown: word(flags.chown),
    chmod: word(flags.chmod),
    checksum: instruction.kind === 'add' ? word(instruction.flags.checksum) : '',
    sources: instruction.sources.map(word),
    dest: word(instruction.dest),
    documents: instruction.documents.map((document) =>
      document.expand
        ? {
            ...document,
            data: stage.expand(parseWord(document.data, { ignoreQuotes: true }), instruction, linter),
          }
        : document,
    ),
  };
}

function checkChecksum({ checksum, sources }: Expanded): void {
  if (checksum === '') return;
  const [source] = sources;
  if (sources.length !== 1 || source === undefined) {
    throw new KilnError('invalid_argument', "checksum can't be specified for multiple sources");
  }
  if (!isHttpUrl(source) && !parseGitRef(source)) {
    throw new KilnError('invalid_argument', 'checksum requires HTTP(S) or Git sources');
  }
}

interface SourceTree {
  readonly tree: State;
  readonly paths: { add(path: string): void };
  readonly isContext: boolean;
}

function sourceTree(
  stage: StageBuilder,
  command: Command,
  instruction: CopyOrAdd,
  treeOf: TreeState,
): SourceTree {
  const [node] = command.sources;
  if (!node) {
    return { tree: stage.context.buildContext, paths: stage.context.contextPaths, isContext: true };
  }
  const source = treeOf(node);
  if (source) return { ...source, isContext: false };
  const from = instruction.kind === 'copy' ? instruction.flags.from : '';
  throw new KilnError(
    'invalid_argument',
    `cannot copy from stage "${from}", it needs to be defined before current stage "${stage.node.name}"`,
  );
}

/** Puts together the file actions of one instruction. */
class CopyBuilder {
  readonly #stage: StageBuilder;
  readonly #words: Expanded;
  readonly #source: SourceTree;
  readonly #name: VertexName;
  readonly #linter: Linter;
  readonly #common: CopyOptions;

  constructor(stage: StageBuilder, words: Expanded, source: SourceTree, name: VertexName, linter: Linter) {
    this.#stage = stage;
    this.#words = words;
    this.#source = source;
    this.#name = name;
    this.#linter = linter;
    const exclude = words.instruction.flags.exclude ?? [];
    this.#common = {
      createDestPath: true,
      ...(words.chown && { owner: words.chown }),
      ...(words.chmod && {
        mode: atFlag(words.instruction, 'chmod', 0, stage.context.file, () => parseChmod(words.chmod)),
      }),
      ...(exclude.length > 0 && { excludePatterns: exclude }),
    };
  }

  build(dest: string): FileActions {
    let actions = files();
    for (const path of this.#words.sources) actions = this.#addSource(actions, path, dest);
    for (const { name, data } of this.#words.documents) {
      const path = withoutDrive(name, this.#stage.os);
      const tree = scratch().file(files().mkfile(path, 0o644, data), {
        name: '[internal] preparing inline document',
      });
      actions = actions.copy(tree, path, dest, this.#common);
    }
    return actions;
  }

  #addSource(actions: FileActions, path: string, dest: string): FileActions {
    const isAdd = this.#words.instruction.kind === 'add';
    const repository = parseGitRef(path);
    if (repository && !repository.couldBePath) {
      if (!isAdd)
        throw new KilnError('invalid_argument', "source can't be a git ref for COPY", { hint: 'use ADD' });
      return actions.copy(this.#checkout(repository), '/', dest, this.#common);
    }
    if (isHttpUrl(path)) {
      if (!isAdd)
        throw new KilnError('invalid_argument', "source can't be a URL for COPY", { hint: 'use ADD' });
      const filename = urlFilename(path);
      return actions.copy(this.#download(path, filename), filename, dest, {
        ...this.#common,
        unpackArchive: this.#unpack ?? false,
      });
    }
    return this.#addPath(actions, path, dest, isAdd);
  }

  get #unpack(): boolean | undefined {
    const { instruction } = this.#words;
    return instruction.kind === 'add' ? instruction.flags.unpack : undefined;
  }

  #checkout({ remote, options }: GitRef): State {
    const { instruction, checksum } = this.#words;
    const keep = instruction.kind === 'add' ? instruction.flags['keep-git-dir'] : undefined;
    if (keep !== undefined && options.keepGitDir !== undefined && keep !== options.keepGitDir) {
      throw new KilnError('invalid_argument', 'inconsistent keep-git-dir configuration');
    }
    if (checksum && options.checksum && checksum !== options.checksum) {
      throw new KilnError('invalid_argument', `checksum mismatch "${checksum}" != "${options.checksum}"`);
    }
    const { mtime: _, ...wanted } = options;
    return git(remote, {
      ...this.#name.of(),
      ...wanted,
      keepGitDir: options.keepGitDir ?? keep,
      ...((options.checksum || checksum) && { checksum: options.checksum || checksum }),
    });
  }

  #download(url: string, filename: string): State {
    const { checksum } = this.#words;
    if (checksum !== '' && !parseFileChecksum(checksum)) {
      throw new KilnError('invalid_argument', `invalid checksum ${JSON.stringify(checksum)}`, {
        hint: checksumHint,
      });
    }
    return http(url, { ...this.#name.of(), filename, ...(checksum && { checksum }) });
  }

  #addPath(actions: FileActions, path: string, dest: string, isAdd: boolean): FileActions {
    const { os } = this.#stage;
    this.#checkIgnored(path);
    const { instruction } = this.#words;
    const parents = instruction.kind === 'copy' && instruction.flags.parents === true;
    const split = parents ? splitParents(path, os) : { src: path, options: {} };
    return actions.copy(this.#source.tree, resolveTargetPath('/', split.src, os, false), dest, {
      ...this.#common,
      ...split.options,
      followSymlink: true,
      dirCopyContents: true,
      unpackArchive: this.#unpack ?? isAdd,
      allowWildcard: true,
      allowEmptyWildcard: true,
    });
  }

  /** Warns of a source that `.dockerignore` excludes. Where it has `!` patterns, the path alone does not tell. */
  #checkIgnored(path: string): void {
    const { ignored } = this.#stage.context;
    if (!ignored || !this.#source.isContext) return;
    const clean = cleanPath(path).replace(/^\/(?=.)/, '');
    const isRoot = clean === '.' || clean === '/';
    if (isRoot ? !ignored.excludesAll : !ignored.matcher.matches(clean)) return;
    const { kind, range } = this.#words.instruction;
    this.#linter.report(
      lintRules.copyIgnoredFile,
      range,
      `Attempting to ${kind === 'add' ? 'Add' : 'Copy'} file ${JSON.stringify(clean)} that is excluded by .dockerignore`,
    );
  }
}

/** `--parents`: a pattern below the root, or below what stands before `/./`. */
function splitParents(path: string, os: string): { readonly src: string; readonly options: CopyOptions } {
  const pivot = path.indexOf('/./');
  const src = pivot < 0 ? '/' : path.slice(0, pivot);
  const pattern = resolveTargetPath('/', pivot < 0 ? path : path.slice(pivot + 3), os, false);
  const literal = !hasWildcards(src) && !hasWildcards(pattern);
  return {
    src,
    options: {
      includePatterns: [cleanPath(pattern).replace(/^\//, '')],
      ...(literal && { requiredPaths: [resolveTargetPath('/', joinPath(src, pattern), os, false)] }),
    },
  };
}

function hasWildcards(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\./gs, ''));
}

function apply(
  stage: StageBuilder,
  instruction: CopyOrAdd,
  actions: FileActions,
  name: VertexName,
  words: Expanded,
): void {
  const { noCache: ignoreCache } = stage;
  if (!instruction.flags.link || words.chmod !== '') {
    stage.state = stage.state.file(actions, name.of({ ignoreCache }));
    return;
  }
  // The copy is a layer of its own, merged with the stage's tree: a change below does not repeat it.
  const group = { id: randomUUID(), name: name.of().name! };
  const layer = scratch().file(actions, name.of({ ignoreCache, progressGroup: { ...group, weak: true } }));
  stage.state = stage.state.withTree(
    merge(
      [stage.state, layer],
      name.of({ ignoreCache, progressGroup: { ...group, weak: false }, name: name.withPrefix('LINK') }),
    ),
  );
}

function historyText({ instruction, sources, documents, dest, chown, chmod }: Expanded): string {
  const words = [
    instruction.kind === 'add' ? 'ADD' : 'COPY',
    ...(instruction.kind === 'copy' && instruction.flags.parents ? ['--parents'] : []),
    ...(chown ? [`--chown=${chown}`] : []),
    ...(chmod ? [`--chmod=${chmod}`] : []),
    ...sources,
    ...documents.map(({ name }) => `<<${name}`),
    dest,
    '# buildkit',
  ];
  return words.join(' ');
}

import type { ImageDraft } from '../frontend/dockerfile/to-llb/values/image-draft.ts';
import type { State } from '../llb/llb.ts';

/** An image to build on. */
export interface BaseImage {
  /** Its files, with its environment, working directory and user. */
  readonly state: State;
  /** Its config as an image under construction starts from it. */
  readonly draft: ImageDraft;
  /** The document of its config as it was resolved; undefined for what is no image. */
  readonly config: Uint8Array | undefined;
}

/** The tree with what the config says about processes that are run on it. */
export function baseOf(tree: State, draft: ImageDraft, config: Uint8Array | undefined): BaseImage {
  const { Env = [], WorkingDir, User } = draft.config;
  const variables = Env.map((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? ([entry, ''] as const) : ([entry.slice(0, at), entry.slice(at + 1)] as const);
  });
  const state = tree
    .envs(variables)
    .dir(WorkingDir || '/')
    .user(User ?? '');
  return { state, draft, config };
}

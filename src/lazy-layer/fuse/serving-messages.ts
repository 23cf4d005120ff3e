import type { WantedBytes } from './tree-server.ts';

/** What the process that serves mounts is told, as lines of JSON. Mounts have numbers that are never used again. */
export type ToServer =
  /** To mount the layer in `directory` (see `lazyNames`) at `target`, and to serve it. */
  | {
      readonly kind: 'serve';
      readonly mount: number;
      readonly directory: string;
      readonly target: string;
    }
  /** What was wanted has come, or cannot be had: `errno`. */
  | { readonly kind: 'answer'; readonly mount: number; readonly unique: string; readonly errno?: number }
  /** To stop serving. */
  | { readonly kind: 'end'; readonly mount: number };

/** What it says, likewise. */
export type FromServer =
  | { readonly kind: 'serving'; readonly mount: number }
  | { readonly kind: 'refused'; readonly mount: number; readonly message: string; readonly errno?: string }
  | { readonly kind: 'wanted'; readonly mount: number; readonly bytes: WantedBytes }
  /** Who waits for what was wanted got a signal. */
  | { readonly kind: 'interrupted'; readonly mount: number; readonly unique: string }
  /** The mount is not served any more. */
  | { readonly kind: 'ended'; readonly mount: number };

import type { ByteString } from '../../base/text/byte-string.ts';

/** The tree that an earlier sync made, whose files need not be sent again. */
export interface Baseline {
  /** What it holds: the `manifest` in the result of the sync that made it. */
  readonly manifest: Uint8Array;
  /** Whether it is of no more use once there is the new tree. */
  readonly superseded: boolean;
  /** Called when all that differs has arrived. A receiver that wishes to change the tree may be told to read it only, because others use it. */
  open(wish: BaselineAccess): Promise<OpenBaseline>;
}

/**
 * `change`: the tree becomes the new one, in place. If the sync fails then, it is lost.
 * `read`: what is still the same is copied from it to the new directory.
 */
export type BaselineAccess = 'change' | 'read';

export interface OpenBaseline {
  readonly dir: string;
  readonly access: BaselineAccess;
}

export interface FileDigest {
  readonly path: ByteString;
  /** Undefined: there is no such file any more. */
  readonly content: ReceivedContent | undefined;
}

export interface ReceivedContent {
  /** As `tree/content-header.ts` makes it of what was announced. */
  readonly header: ByteString;
  /** Of the header and the data after it, 64 hex digits. */
  readonly sha256: string;
}

export type ReceiveResult =
  /** All is as in the baseline; no directory was made. */
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'changed';
      /** Files whose data was sent. */
      readonly transferred: number;
      /** Where the tree is: in the new directory, or in the baseline's. */
      readonly made: 'new' | 'in-place';
      /** What the tree holds now, for the next sync. */
      readonly manifest: Uint8Array;
    };

/** What a detached signature is made over: bytes, or those of a file. */
export type SignedContent = { readonly bytes: Uint8Array } | { readonly file: string };

/** Whether a signature is one of somebody who is trusted. */
export interface SignatureQuestion {
  readonly content: SignedContent;
  /** Armoured, of OpenPGP or SSH. */
  readonly signature: string;
  /** Those who are trusted: armoured OpenPGP keys, or lines as `authorized_keys` has them. */
  readonly keys: string;
  /** Whether an OpenPGP key has to be valid now, and not only when it signed. */
  readonly rejectExpiredKeys: boolean;
  /** What an SSH signature has to be made for. */
  readonly sshNamespace: 'git' | 'file';
}

/** A connection to a daemon. Closing it, or disposing, ends every call. */
export interface Client extends AsyncDisposable {
  readonly address: string;
  close(): Promise<void>;
}

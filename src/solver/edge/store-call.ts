/** One call to a store. It never fails: trouble is a warning and a miss. */
export interface StoreCall {
  readonly purpose: 'looking up keys' | 'looking up results' | 'loading';
  run(): Promise<void>;
}

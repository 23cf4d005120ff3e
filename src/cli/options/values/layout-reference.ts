/** `oci-layout://directory[:tag][@digest]`, taken apart. */
export interface LayoutReference {
  readonly directory: string;
  readonly tag?: string;
  readonly digest?: string;
}

const prefix = 'oci-layout://';

/** Undefined for what does not begin with `oci-layout://`. */
export function parseLayoutReference(text: string): LayoutReference | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const [, directory = '', tag, digest] =
    /^(.*?)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/s.exec(text.slice(prefix.length)) ?? [];
  return { directory, tag, digest };
}

export function formatLayoutReference(
  store: string,
  { tag, digest }: Omit<LayoutReference, 'directory'>,
): string {
  return `${prefix}${store}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`;
}

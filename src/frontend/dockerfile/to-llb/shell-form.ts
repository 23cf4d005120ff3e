import type { ImageDraft } from './image-draft.ts';

/** The command that runs `text` in the image's shell. */
export function withShell(image: ImageDraft, text: string): readonly string[] {
  const { Shell } = image.config;
  if (Shell?.length) return [...Shell, text];
  return image.platform.os === 'windows' ? ['cmd', '/S', '/C', text] : ['/bin/sh', '-c', text];
}

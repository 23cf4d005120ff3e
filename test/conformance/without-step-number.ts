/**
 * `[build 2/5] RUN …` as `[build #] RUN …`. BuildKit counts steps that it never shows (a base that is a named context, `ENV` among
 * triggers), so that builds end with step 4 of 5; Kiln's last step is the last.
 */
export function withoutStepNumber(name: string): string {
  return name.replace(
    /^\[(?:([^\]]*?)\s)?\s*\d+\/\d+\]/,
    (_, before?: string) => `[${before ? `${before} ` : ''}#]`,
  );
}

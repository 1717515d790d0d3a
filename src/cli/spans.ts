/** A time from one moment to another, in epoch ms. */
export interface Span {
  fromMs: number
  toMs: number
}

/** Names have whole seconds: files that seem to be no further apart follow each other. */
export const seamMs = 2000

/** The same time in as few spans as it takes, in their order; holes of at most `slackMs` are filled. */
export function joined(spans: readonly Span[], slackMs = 0): Span[] {
  const result: Span[] = []
  for (const { fromMs, toMs } of [...spans].sort((a, b) => a.fromMs - b.fromMs)) {
    const last = result.at(-1)
    if (last && fromMs <= last.toMs + slackMs) last.toMs = Math.max(last.toMs, toMs)
    else result.push({ fromMs, toMs })
  }
  return result
}

/** What of the spans lies within another. */
export function within(spans: readonly Span[], { fromMs, toMs }: Span): Span[] {
  return spans
    .map((span) => ({ fromMs: Math.max(span.fromMs, fromMs), toMs: Math.min(span.toMs, toMs) }))
    .filter((span) => span.toMs > span.fromMs)
}

/** What is left of the spans without others. */
export function without(spans: readonly Span[], others: readonly Span[]): Span[] {
  const taken = joined(others)
  return joined(spans).flatMap(({ fromMs, toMs }) => {
    const rest: Span[] = []
    let at = fromMs
    for (const other of within(taken, { fromMs, toMs })) {
      if (other.fromMs > at) rest.push({ fromMs: at, toMs: other.fromMs })
      at = other.toMs
    }
    return toMs > at ? [...rest, { fromMs: at, toMs }] : rest
  })
}

/** How long spans last together. */
export function lengthMs(spans: readonly Span[]): number {
  return joined(spans).reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
}

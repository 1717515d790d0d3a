/** How fast a number rises, smoothed over the last few looks at it. */
export class SteadyRate {
  #last: { total: number; atMs: number } | undefined
  #perSecond: number | undefined

  /** Begins to count from another total. */
  restart(total: number, atMs: number): void {
    this.#last = { total, atMs }
  }

  /** Takes a total as of a moment of the monotonic clock; one that has fallen begins anew. */
  look(total: number, atMs: number): void {
    const last = this.#last
    this.#last = { total, atMs }
    if (!last || total < last.total || atMs <= last.atMs) return
    const perSecond = ((total - last.total) * 1000) / (atMs - last.atMs)
    this.#perSecond = this.#perSecond === undefined ? perSecond : (this.#perSecond + perSecond) / 2
  }

  /** Undefined until it was looked at twice. */
  get perSecond(): number | undefined {
    return this.#perSecond
  }
}

/** Four-byte numbers in a row, in the form in which MP4's tables hold them. */
export class WordList {
  length = 0
  #content = Buffer.alloc(4096)

  push(number: number): void {
    if (this.length * 4 === this.#content.length)
      this.#content = Buffer.concat([this.#content, Buffer.alloc(this.#content.length)])
    this.#content.writeUInt32BE(number, this.length * 4)
    this.length += 1
  }

  get content(): Buffer {
    return this.#content.subarray(0, this.length * 4)
  }
}

/** Numbers in a row as pairs: how many times, which number. */
export class RunList {
  readonly #pairs = new WordList()
  #number = 0
  #times = 0

  push(number: number): void {
    if (number !== this.#number) this.#close()
    this.#number = number
    this.#times += 1
  }

  /** The pairs; of everything that was pushed, so this comes last. */
  close(): WordList {
    this.#close()
    return this.#pairs
  }

  #close(): void {
    if (this.#times === 0) return
    this.#pairs.push(this.#times)
    this.#pairs.push(this.#number)
    this.#times = 0
  }
}

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { finalizing, fragmented, never } from './workbench.ts'

const title = /footage-\d{8}/

/** Small files that play, each with a number in it that a remux keeps, so that none is mistaken for another. */
export class NumberedFootage {
  readonly #fragmented: string
  readonly #finalized: string
  readonly #whole: Set<string>

  static async make(): Promise<NumberedFootage> {
    const folder = await mkdtemp(join(tmpdir(), 'numbered-'))
    try {
      const folders = foldersBelow(folder)
      await makeFolders(folders)
      const path = join(folders.recordings, 'footage.mp4')
      const named = ['-metadata', `title=footage-00000000`]
      const flags = '+empty_moov+default_base_moof+frag_keyframe'
      await remux(await fragmented(), [...named, '-movflags', flags, path])
      const asRecorded = await readFile(path, 'latin1')
      await finalize(finalizing(folders), path, never)
      return new NumberedFootage(asRecorded, await readFile(path, 'latin1'))
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  private constructor(asRecorded: string, asFinalized: string) {
    this.#fragmented = asRecorded
    this.#finalized = asFinalized
    this.#whole = new Set([asRecorded, asFinalized].map(digestOf))
  }

  /** A file as the recorder leaves it, or as it is when it is finalized. */
  async write(path: string, number: number, how: 'fragmented' | 'finalized'): Promise<void> {
    const text = how === 'fragmented' ? this.#fragmented : this.#finalized
    const name = `footage-${String(number).padStart(8, '0')}`
    await writeFile(path, text.replace(title, name), 'latin1')
  }

  /** The number of a file if it is whole, byte for byte. */
  numberIn(content: Buffer): number | undefined {
    const text = content.toString('latin1')
    const [name] = title.exec(text) ?? []
    if (name === undefined) return undefined
    return this.#whole.has(digestOf(text)) ? Number(name.slice('footage-'.length)) : undefined
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text.replace(title, 'footage')).digest('hex')
}

async function remux(source: string, output: string[]): Promise<void> {
  const input = ['-v', 'error', '-nostdin', '-y', '-i', source, '-map', '0', '-c', 'copy']
  await promisify(execFile)('ffmpeg', [...input, ...output])
}

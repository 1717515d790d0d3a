import type { FileHandle } from 'node:fs/promises'
import { UnfamiliarMp4, known } from './boxes.ts'
import type { Track } from './fragmented-mp4.ts'
import {
  isSameSet,
  mostSetBytes,
  readUnit,
  sliceHeadBytes,
  type ParameterSet,
  type PictureCodec,
} from './parameter-sets.ts'
import type { PictureFormat } from './picture-format.ts'
import type { Samples } from './samples.ts'
import { configUnits, withParameterSets, type TrackHeader } from './track-header.ts'

/** Samples of a picture in a row that one decoder configuration holds for. */
export interface PicturePart {
  /** The first of its samples. */
  first: number
  header: TrackHeader
}

/** A camera that changes at every keyframe makes no more parts of a file than these. */
const mostParts = 100
/** What is read of a keyframe at once; what leads it in takes less, most often. */
const leadBytes = 4096
/** More units than lead a keyframe in. */
const mostUnits = 64
const lengthBytes = 4

/**
 * Divides a picture at each keyframe that comes with other parameter sets than those in force, or uses
 * one of another size. Where there is none, the only part has the header of the track.
 */
export async function pictureParts(source: FileHandle, track: Track): Promise<PicturePart[]> {
  const { header } = track
  const codec = header.codec as PictureCodec
  const parts = [{ first: 0, sets: SetsInForce.declared(header), isDeclared: true }]
  const lead = new LeadReader(source, codec)
  for (const keyframe of keyframesOf(track.samples)) {
    const part = known(parts.at(-1))
    const sets = part.sets.with(await lead.of(keyframe))
    if (sets === part.sets) continue
    const isOther = sets.isOtherThan(part.sets)
    if (isOther && parts.length === mostParts) continue
    const next = { first: keyframe.sample, sets, isDeclared: false }
    if (isOther && keyframe.sample > 0) parts.push(next)
    else Object.assign(part, { ...next, first: part.first })
  }
  return parts.map(({ first, sets, isDeclared }) => ({
    first,
    header: isDeclared ? header : sets.headerOf(header),
  }))
}

interface Keyframe {
  sample: number
  at: number
  bytes: number
}

function* keyframesOf({ chunks, sizes, syncs }: Samples): Generator<Keyframe> {
  let sample = 0
  for (const { at, samples } of chunks) {
    let place = at
    for (const end = sample + samples; sample < end; sample += 1) {
      const bytes = sizes[sample] ?? 0
      if (syncs[sample] === 1) yield { sample, at: place, bytes }
      place += bytes
    }
  }
}

/** What comes before the slices of a keyframe, and which picture parameter set they use. */
interface Lead {
  sets: ParameterSet[]
  ppsId: number | undefined
}

class LeadReader {
  readonly #source: FileHandle
  readonly #codec: PictureCodec
  readonly #window = Buffer.allocUnsafe(leadBytes + mostSetBytes)

  constructor(source: FileHandle, codec: PictureCodec) {
    this.#source = source
    this.#codec = codec
  }

  async of({ at, bytes }: Keyframe): Promise<Lead> {
    const sets: ParameterSet[] = []
    let [from, window] = [0, await this.#read(at, Math.min(bytes, leadBytes))]
    let place = 0
    for (let unit = 0; unit < mostUnits && place + lengthBytes < bytes; unit += 1) {
      const wanted = Math.min(lengthBytes + sliceHeadBytes, bytes - place)
      if (place + wanted > from + window.length)
        [from, window] = [place, await this.#read(at + place, Math.min(bytes - place, leadBytes))]
      if (window.length < place - from + lengthBytes) break
      const unitBytes = window.readUInt32BE(place - from)
      const isWhole = place + lengthBytes + unitBytes <= from + window.length
      if (!isWhole && unitBytes <= mostSetBytes)
        [from, window] = [place, await this.#read(at + place, lengthBytes + unitBytes)]
      const begin = place - from + lengthBytes
      const read = readUnit(this.#codec, window.subarray(begin, begin + unitBytes))
      if (read.kind === 'slice') return { sets, ppsId: read.ppsId }
      if (read.kind !== 'other') sets.push(read)
      place += lengthBytes + unitBytes
    }
    return { sets, ppsId: undefined }
  }

  async #read(at: number, bytes: number): Promise<Buffer> {
    const { bytesRead } = await this.#source.read(this.#window, 0, bytes, at)
    return this.#window.subarray(0, bytesRead)
  }
}

/** The parameter sets that a picture refers to by kind and number. */
class SetsInForce {
  readonly #codec: PictureCodec
  readonly #sets: Map<string, ParameterSet>
  /** Format of the sequence in use; undefined where that can't be read. */
  readonly #format: PictureFormat | undefined

  /** Those in the header of a track. */
  static declared(header: TrackHeader): SetsInForce {
    const codec = header.codec as PictureCodec
    const sets = new Map<string, ParameterSet>()
    for (const unit of configUnits(header)) {
      const read = readUnit(codec, unit)
      if (read.kind !== 'slice' && read.kind !== 'other') sets.set(keyOf(read), read)
    }
    const [format] = [...sets.values()].flatMap((set) => (set.kind === 'sps' ? [set.format] : []))
    return new SetsInForce(codec, sets, format)
  }

  private constructor(
    codec: PictureCodec,
    sets: Map<string, ParameterSet>,
    format: PictureFormat | undefined,
  ) {
    this.#codec = codec
    this.#sets = sets
    this.#format = format
  }

  /** Those that are in force behind what leads in a keyframe; itself where that says nothing new. */
  with({ sets, ppsId }: Lead): SetsInForce {
    const all = new Map(this.#sets)
    // The last of several with one number is in force.
    for (const [key, set] of new Map(sets.map((one) => [keyOf(one), one]))) {
      const before = all.get(key)
      if (!before || !isSameSet(this.#codec, before, set)) all.set(key, set)
    }
    const pps = all.get(`pps ${ppsId}`)
    const sps = all.get(`sps ${pps?.kind === 'pps' ? pps.spsId : this.#format?.id}`)
    if (sps?.kind !== 'sps') return this
    // A configuration is of one size, though a camera may send sets of several at once.
    const kept = [...all].filter(([, set]) => {
      const own = set.kind === 'pps' ? all.get(`sps ${set.spsId}`) : set
      return own?.kind === 'vps' || (own?.kind === 'sps' && isSameFormat(own.format, sps.format))
    })
    const isNew = kept.some(([key, set]) => this.#sets.get(key) !== set)
    const isSameSize = this.#format !== undefined && isSameFormat(this.#format, sps.format)
    if (!isNew && isSameSize) return this
    const inUseFirst = [[keyOf(sps), sps] as const, ...kept]
    return new SetsInForce(this.#codec, new Map(inUseFirst), sps.format)
  }

  /** Whether something that these others say holds no longer. */
  isOtherThan(before: SetsInForce): boolean {
    const isSaidOtherwise = [...this.#sets].some(
      ([key, set]) => before.#sets.has(key) && before.#sets.get(key) !== set,
    )
    const [a, b] = [this.#format, before.#format]
    return isSaidOtherwise || a === undefined || b === undefined || !isSameFormat(a, b)
  }

  headerOf(header: TrackHeader): TrackHeader {
    if (!this.#format) throw new UnfamiliarMp4()
    const picture = { sets: [...this.#sets.values()], format: this.#format }
    return withParameterSets(header, this.#codec, picture)
  }
}

function keyOf({ kind, id }: ParameterSet): string {
  return `${kind} ${id}`
}

function isSameFormat(a: PictureFormat, b: PictureFormat): boolean {
  const depths = (['width', 'height', 'chromaFormat', 'lumaBits', 'chromaBits'] as const).every(
    (field) => a[field] === b[field],
  )
  return depths && String(a.pixel ?? [1, 1]) === String(b.pixel ?? [1, 1])
}

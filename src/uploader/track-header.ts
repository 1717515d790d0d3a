import { boxesIn, known, need, words, type BoxContent } from './mp4-boxes.ts'

/** What a track is, and the boxes that say so, as they are to be copied. */
export interface TrackHeader {
  id: number
  type: 'video' | 'audio'
  codec: string
  /** Its four-character code. */
  tag: string
  ticksPerSecond: number
  tkhd: Buffer
  mdhd: Buffer
  hdlr: Buffer
  /** `vmhd` or `smhd`. */
  mediaHeader: Buffer
  dinf: Buffer
  stsd: Buffer
}

/** Of the sample entry: how long it is before its own boxes, which come first, and what it holds. */
const formats: Record<string, { codec: string; bytes: number; boxes: RegExp }> = {
  avc1: { codec: 'h264', bytes: 78, boxes: /^avcC( (fiel|colr|pasp|btrt))*$/ },
  hvc1: { codec: 'hevc', bytes: 78, boxes: /^hvcC( (fiel|colr|pasp|btrt))*$/ },
  mp4a: { codec: 'aac', bytes: 28, boxes: /^esds( btrt)?$/ },
}

/** What FFmpeg writes of the place of the content: in this file. */
const inThisFile = Buffer.concat([words(28), Buffer.from('dref'), words(0, 1, 12)])
const itself = Buffer.concat([inThisFile, Buffer.from('url '), words(1)])
/** Of a track that shall play, as a part of the presentation. */
const enabled = 3

/** Reads a `trak` that has no samples of its own; throws UnfamiliarMp4 where it isn't such. */
export function readTrackHeader({ body }: BoxContent): TrackHeader {
  const [tkhd, mdia] = boxesIn(body, /^tkhd mdia$/)
  need(tkhd?.body.length === 84 && tkhd.body.readUInt32BE(0) === enabled)
  const [mdhd, hdlr, minf] = boxesIn(known(mdia).body, /^mdhd hdlr minf$/)
  need(mdhd?.body.length === 24 && mdhd.body.readUInt32BE(0) === 0)
  const handler = known(hdlr).body.toString('latin1', 8, 12)
  const isVideo = handler === 'vide'
  need(isVideo || handler === 'soun')
  const [mediaHeader, dinf, stbl] = boxesIn(
    known(minf).body,
    isVideo ? /^vmhd dinf stbl$/ : /^smhd dinf stbl$/,
  )
  need(known(dinf).body.equals(itself))
  const [stsd, ...tables] = boxesIn(known(stbl).body, /^stsd stts stsc stsz stco$/)
  need(tables.every(({ type, body: table }) => isEmptyTable(table, type === 'stsz' ? 12 : 8)))
  const { tag, codec } = readSampleEntry(known(stsd).body, isVideo)
  const ticksPerSecond = mdhd.body.readUInt32BE(12)
  need(ticksPerSecond > 0)
  return {
    id: tkhd.body.readUInt32BE(12),
    type: isVideo ? 'video' : 'audio',
    ...{ codec, tag, ticksPerSecond },
    ...{ tkhd: tkhd.whole, mdhd: mdhd.whole, hdlr: known(hdlr).whole },
    ...{ mediaHeader: known(mediaHeader).whole, dinf: known(dinf).whole, stsd: known(stsd).whole },
  }
}

function isEmptyTable(table: Buffer, bytes: number): boolean {
  return table.length === bytes && table.every((byte) => byte === 0)
}

function readSampleEntry(stsd: Buffer, isVideo: boolean): { tag: string; codec: string } {
  need(stsd.subarray(0, 8).equals(words(0, 1)))
  const [entry, ...others] = boxesIn(stsd.subarray(8), /^(avc1|hvc1|mp4a)$/)
  need(others.length === 0)
  const { type: tag, body } = known(entry)
  const format = known(formats[tag])
  need((tag !== 'mp4a') === isVideo && body.length > format.bytes)
  // Six bytes without a meaning, then which data reference, then a version and revision.
  need(body.subarray(0, 12).equals(words(0, 1, 0)))
  const [config] = boxesIn(body.subarray(format.bytes), format.boxes)
  // Width and height; then, at the end, 24 bits a pixel, of no palette.
  if (isVideo)
    need(
      body.readUInt16BE(24) > 0 && body.readUInt16BE(26) > 0 && body.readUInt32BE(74) === 0x18ffff,
    )
  else need(isPlainAac(known(config).body))
  return { tag, codec: format.codec }
}

/** Whether an `esds` is FFmpeg's, with lengths of four bytes, for AAC-LC. */
function isPlainAac(esds: Buffer): boolean {
  const es = descriptor(esds, 4, 3)
  // Behind an id and flags; behind the kind of the stream and its bit rates.
  const decoder = descriptor(esds, es + 3, 4)
  const config = descriptor(esds, decoder + 13, 5)
  need(esds.readUInt8(es + 2) === 0)
  const [aac, lowComplexity] = [0x40, 2]
  const bits = esds.readUInt16BE(config)
  const [objectType, rate, channels] = [bits >> 11, (bits >> 7) & 15, (bits >> 3) & 15]
  const isLc = objectType === lowComplexity && rate < 13 && channels >= 1 && channels <= 7
  return esds.readUInt8(decoder) === aac && isLc
}

/** Where the content of a descriptor begins. */
function descriptor(esds: Buffer, at: number, tag: number): number {
  need(at + 5 <= esds.length && esds.readUInt8(at) === tag)
  need(esds.readUIntBE(at + 1, 3) === 0x808080)
  const bytes = esds.readUInt8(at + 4)
  need(bytes >= 2 && at + 5 + bytes <= esds.length)
  return at + 5
}

import { needAac, needH264, needHevc } from './decoder-config.ts'
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

interface Format {
  codec: string
  bytes: number
  needConfig: (config: Buffer) => void
  boxes: RegExp
}

/** Of the sample entry: how long it is before its own boxes, which come first, and what it holds. */
const formats: Record<string, Format> = {
  avc1: {
    codec: 'h264',
    bytes: 78,
    needConfig: needH264,
    boxes: /^avcC( (fiel|colr|pasp|btrt))*$/,
  },
  hvc1: {
    codec: 'hevc',
    bytes: 78,
    needConfig: needHevc,
    boxes: /^hvcC( (fiel|colr|pasp|btrt))*$/,
  },
  mp4a: { codec: 'aac', bytes: 28, needConfig: needAac, boxes: /^esds( btrt)?$/ },
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
  format.needConfig(known(config).body)
  return { tag, codec: format.codec }
}

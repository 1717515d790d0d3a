export interface RtspRequest {
  method: string
  url: string
  /** By lower-case name. */
  headers: Map<string, string>
}

export interface RtspResponse {
  status: number
  headers?: Record<string, string>
  body?: string
}

const REASONS: Record<number, string> = {
  200: 'OK',
  401: 'Unauthorized',
  404: 'Not Found',
  453: 'Not Enough Bandwidth',
  454: 'Session Not Found',
  455: 'Method Not Valid in This State',
  461: 'Unsupported Transport',
  501: 'Not Implemented',
}

/** RFC 2326, 7. */
export function formatResponse(response: RtspResponse, cseq: string): Buffer {
  const body = Buffer.from(response.body ?? '')
  const headers = { CSeq: cseq, ...response.headers, 'Content-Length': String(body.length) }
  const lines = [
    `RTSP/1.0 ${response.status} ${REASONS[response.status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body])
}

const INTERLEAVED_MARK = 0x24

/** Finds the requests in what a client sends; its interleaved RTCP is skipped. */
export class RtspReader {
  #unread = Buffer.alloc(0)

  push(chunk: Buffer): RtspRequest[] {
    this.#unread = Buffer.concat([this.#unread, chunk])
    const requests: RtspRequest[] = []
    for (;;) {
      const bytes = messageBytes(this.#unread)
      if (bytes === undefined || bytes > this.#unread.length) return requests
      if (this.#unread[0] !== INTERLEAVED_MARK) {
        requests.push(parseRequest(this.#unread.subarray(0, bytes)))
      }
      this.#unread = this.#unread.subarray(bytes)
    }
  }
}

/** The length of the first message, if enough of it has arrived to tell. */
function messageBytes(data: Buffer): number | undefined {
  if (data[0] === INTERLEAVED_MARK) return data.length < 4 ? undefined : 4 + data.readUInt16BE(2)
  const headEnd = data.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const { headers } = parseRequest(data.subarray(0, headEnd))
  return headEnd + 4 + (Number(headers.get('content-length')) || 0)
}

function parseRequest(message: Buffer): RtspRequest {
  const [head = ''] = message.toString().split('\r\n\r\n')
  const [requestLine = '', ...headerLines] = head.split('\r\n')
  const [method = '', url = ''] = requestLine.split(' ')
  const headers = new Map(
    headerLines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  return { method, url, headers }
}

package loki

import (
	"encoding/json"

	"github.com/pharos-o11y/pharos/internal/query"
)

// statsSummary is what Grafana and logcli show of the statistics of a query.
type statsSummary struct {
	BytesProcessedPerSecond int64   `json:"bytesProcessedPerSecond"`
	LinesProcessedPerSecond int64   `json:"linesProcessedPerSecond"`
	TotalBytesProcessed     int64   `json:"totalBytesProcessed"`
	TotalLinesProcessed     int64   `json:"totalLinesProcessed"`
	ExecTime                float64 `json:"execTime"`
	QueueTime               float64 `json:"queueTime"`
	Subqueries              int     `json:"subqueries"`
	TotalEntriesReturned    int     `json:"totalEntriesReturned"`
	Splits                  int     `json:"splits"`
	Shards                  int     `json:"shards"`
	TotalPostFilterLines    int64   `json:"totalPostFilterLines"`
	MetadataBytes           int64   `json:"totalStructuredMetadataBytesProcessed"`
}

// pharosStats is what Pharos knows beyond Loki's statistics.
type pharosStats struct {
	BlocksRead    int64 `json:"blocksRead"`
	BlocksSkipped int64 `json:"blocksSkipped"`
	PeakMemory    int64 `json:"peakMemory"`
}

const zeroChunk = `"chunk":{"headChunkBytes":0,"headChunkLines":0,"decompressedBytes":0,"decompressedLines":0,"compressedBytes":0,"totalDuplicates":0,"postFilterLines":0,"headChunkStructuredMetadataBytes":0,"decompressedStructuredMetadataBytes":0}`

const zeroStore = `"store":{"totalChunksRef":0,"totalChunksDownloaded":0,"chunksDownloadTime":0,"queryReferencedStructuredMetadata":false,"queryUsedV2Engine":false,` + zeroChunk +
	`,"chunkRefsFetchTime":0,"congestionControlLatency":0,"pipelineWrapperFilteredLines":0,"dataobj":{}}`

const zeroCache = `{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0}`

// zeroStats are the parts of Loki's statistics that describe how Loki works inside.
const zeroStats = `"querier":{` + zeroStore + `,"querierExecTime":0},"ingester":{"totalReached":0,"totalChunksMatched":0,"totalBatches":0,"totalLinesSent":0,` + zeroStore +
	`,"recvWaitTime":0},"cache":{"chunk":` + zeroCache + `,"index":` + zeroCache + `,"result":` + zeroCache + `,"statsResult":` + zeroCache + `,"volumeResult":` + zeroCache +
	`,"seriesResult":` + zeroCache + `,"labelResult":` + zeroCache + `,"instantMetricResult":` + zeroCache +
	`},"index":{"totalChunks":0,"postFilterChunks":0,"shardsDuration":0,"usedBloomFilters":false,"totalStreams":0,"chunkRefsLookupTime":0,"bloomFilterTime":0}`

func appendStats(b []byte, st *query.Stats, returned int) []byte {
	s := statsSummary{
		TotalBytesProcessed: st.BytesRead, TotalLinesProcessed: st.RowsScanned, TotalPostFilterLines: st.RowsMatched,
		ExecTime: st.Run.Seconds(), QueueTime: st.Queued.Seconds(), TotalEntriesReturned: returned,
	}
	if s.ExecTime > 0 {
		s.BytesProcessedPerSecond = int64(float64(st.BytesRead) / s.ExecTime)
		s.LinesProcessedPerSecond = int64(float64(st.RowsScanned) / s.ExecTime)
	}
	// Neither value can fail to marshal: they hold numbers only.
	summary, _ := json.Marshal(s)
	own, _ := json.Marshal(pharosStats{BlocksRead: st.BlocksRead, BlocksSkipped: st.BlocksSkipped, PeakMemory: st.PeakMemory})
	b = append(append(b, `{"summary":`...), summary...)
	b = append(append(b, `,"pharos":`...), own...)
	b = append(append(b, ','), zeroStats...)
	return append(b, '}')
}

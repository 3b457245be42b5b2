package config_test

import (
	"strings"
	"testing"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

func TestTracesAreAskedFor(t *testing.T) {
	everything := config.Traces{On: true, Share: 1, MostWaiting: 2048}
	with := func(change func(*config.Traces)) config.Traces {
		traces := everything
		change(&traces)
		return traces
	}
	off := with(func(t *config.Traces) { t.On = false })
	const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
	for name, c := range map[string]struct {
		env  []string
		want config.Traces
	}{
		"by default":           {nil, off},
		"a place":              {[]string{to}, everything},
		"a place for traces":   {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://c.example/t"}, everything},
		"the usual place":      {[]string{"OTEL_TRACES_EXPORTER=otlp"}, everything},
		"nothing":              {[]string{to, "OTEL_TRACES_EXPORTER=none"}, off},
		"disabled":             {[]string{to, "OTEL_SDK_DISABLED=TRUE"}, off},
		"not disabled":         {[]string{to, "OTEL_SDK_DISABLED=1"}, everything},
		"one of ten":           {[]string{to, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1"}, with(func(t *config.Traces) { t.Share = 0.1 })},
		"one of ten by parent": {[]string{to, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1"}, with(func(t *config.Traces) { t.Share = 0.1 })},
		"all by ratio":         {[]string{to, "OTEL_TRACES_SAMPLER=traceidratio"}, everything},
		"none by sampler":      {[]string{to, "OTEL_TRACES_SAMPLER=always_off"}, with(func(t *config.Traces) { t.Share = 0 })},
		"a short queue":        {[]string{to, "OTEL_BSP_MAX_QUEUE_SIZE=16"}, with(func(t *config.Traces) { t.MostWaiting = 16 })},
	} {
		if got := mustLoad(t, input(t, c.env, "--dev")).Traces; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTracesThatCannotBe(t *testing.T) {
	for _, setting := range []string{
		"OTEL_TRACES_EXPORTER=console", "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=grpc://c.example",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "OTEL_TRACES_SAMPLER=jaeger_remote",
		"OTEL_BSP_MAX_QUEUE_SIZE=0", "OTEL_BSP_MAX_QUEUE_SIZE=many",
	} {
		name, _, _ := strings.Cut(setting, "=")
		if _, err := config.Load(input(t, []string{setting}, "--dev")); err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s: %v", setting, err)
		}
	}
	for _, ratio := range []string{"2", "-0.1", "NaN", "half"} {
		_, err := config.Load(input(t, []string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + ratio}, "--dev"))
		if err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER_ARG: ") {
			t.Errorf("a ratio of %s: %v", ratio, err)
		}
	}
}

// TestATokenInACollectorsURLIsNotShown, right or wrong.
func TestATokenInACollectorsURLIsNotShown(t *testing.T) {
	for url, shown := range map[string]string{"https://ops:hunter2@c.example/v1?key=hunter2": "https://c.example/v1", "hunter2": "sha256:"} {
		c, err := config.Load(input(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + url}, "--dev"))
		text := settings(c)["OTEL_EXPORTER_OTLP_ENDPOINT"].Value
		if err != nil {
			text += err.Error()
		}
		if strings.Contains(text, "hunter2") || !strings.HasPrefix(text, shown) {
			t.Errorf("%s is shown as %s", url, text)
		}
	}
}

package esdbtest

import "github.com/EventStore/EventStore-Client-Go/v4/protos/projections"

// RunProjections restarts the server with projections of its own: those named
// run, another one is stopped.
func (s *Server) RunProjections(running ...string) error {
	s.Stop()
	s.mu.Lock()
	s.standard = append([]string{}, running...)
	s.mu.Unlock()
	return s.Start()
}

// projectionService tells of the projections.
type projectionService struct {
	projections.UnimplementedProjectionsServer
	node *node
}

// Statistics implements the protocol's call of that name.
func (p projectionService) Statistics(_ *projections.StatisticsReq, call projections.Projections_StatisticsServer) error {
	if err := p.node.authenticated(call.Context()); err != nil {
		return err
	}
	told := []*projections.StatisticsResp_Details{{Name: "$stopped", Status: "Stopped", Mode: "Continuous"}}
	for _, name := range p.node.server.standard {
		told = append(told, &projections.StatisticsResp_Details{Name: name, Status: "Running", Mode: "Continuous"})
	}
	for _, details := range told {
		if err := call.Send(&projections.StatisticsResp{Details: details}); err != nil {
			return err
		}
	}
	return nil
}

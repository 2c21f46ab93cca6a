package heal

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"name", "description", "tasks"}
	for _, tt := range []struct{ word, want string }{
		{"nane", "name"}, {"descriptin", "description"}, {"Tasks", "tasks"}, {"zebra", ""}, {"", ""},
	} {
		if got := Nearest(tt.word, known); got != tt.want {
			t.Errorf("Nearest(%q): got %q, want %q", tt.word, got, tt.want)
		}
	}
}

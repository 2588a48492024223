package shop.catalog;

import jakarta.validation.Valid;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.view.RedirectView;

/** What the shop sells, kept in memory: a new version starts with the same three items. */
@RestController
class ItemController {

    private final Map<String, Item> items = new ConcurrentSkipListMap<>(Map.of(
            "CUP-1", new Item("CUP-1", "Cup, blue", 1290),
            "POT-1", new Item("POT-1", "Teapot, cast iron", 5490),
            "TEA-1", new Item("TEA-1", "Darjeeling, 100 g", 890)));

    @GetMapping("/items")
    Collection<Item> items() {
        return items.values();
    }

    @GetMapping("/items/{sku}")
    Item item(@PathVariable String sku) {
        Item item = items.get(sku);
        if (item == null) {
            throw new ResponseStatusException(HttpStatus.NOT_FOUND, "no item " + sku);
        }
        return item;
    }

    @PostMapping("/items")
    @ResponseStatus(HttpStatus.CREATED)
    Item add(@Valid @RequestBody Item item) {
        items.put(item.sku(), item);
        return item;
    }

    /** Where the items were before; the answer's {@code Location} carries the context path. */
    @GetMapping("/old")
    RedirectView old() {
        return new RedirectView("/items", true);
    }
}
